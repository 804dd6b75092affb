"""Text before anything is trained on it: cleaned, described, and predicted by counting."""
