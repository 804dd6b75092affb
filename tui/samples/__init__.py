"""The Samples tab."""
