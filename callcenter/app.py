"""Composition root: the only module that knows all rooms."""
