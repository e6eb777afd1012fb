"""Calls that we make: by consultants, callbacks, voicemail playback."""
