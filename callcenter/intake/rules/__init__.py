"""Rules of intake: what a written message is, and who gets it."""
