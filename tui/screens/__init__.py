"""The screens of the console, one a tab, and the dialogs above them."""
