"""The Importance tab."""
