"""Widgets that several tabs use. They take data and post messages; they read no files."""
