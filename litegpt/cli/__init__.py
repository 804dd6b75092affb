"""The commands people type: arguments in, data on stdout, narration on stderr."""
