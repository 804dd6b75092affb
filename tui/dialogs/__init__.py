"""Dialogs that several tabs open."""
