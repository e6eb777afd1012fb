"""State bodies (R4, R6, R16): the directory, and which body is competent."""
