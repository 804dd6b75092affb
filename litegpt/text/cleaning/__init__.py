"""Cleaning a text: the rules, in one module per subject, and the order in which they are applied."""
