"""Withheld numbers, kept sealed for a trace in danger if a legal basis is set."""
