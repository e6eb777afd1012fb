"""Blocklist of numbers."""
