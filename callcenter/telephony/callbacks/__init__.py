"""Callbacks and voicemail of callers."""
