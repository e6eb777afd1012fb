"""Agreed plans for frequent callers."""
