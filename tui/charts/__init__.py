"""Charts as cells: scales, a braille canvas, and the plot that puts lines and axes on it. No Textual in here."""
