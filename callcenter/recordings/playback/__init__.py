"""Playback of recordings: access."""
