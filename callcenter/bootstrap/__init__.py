"""Composition roots: build the parts of each process and wire them together."""
