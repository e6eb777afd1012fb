"""Retention of recordings: holds and erasure."""
