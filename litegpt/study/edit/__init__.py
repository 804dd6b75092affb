"""Writing study files: edits that keep the rest of the file byte for byte."""
