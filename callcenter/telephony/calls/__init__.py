"""The course of one call, from greeting to outcome."""
