"""Masking personal data when its term is over."""
