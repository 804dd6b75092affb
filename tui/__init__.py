"""The console: the only code that knows Textual."""
