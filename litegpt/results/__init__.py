"""The results folder: plain append-only files, their writers and their readers."""
