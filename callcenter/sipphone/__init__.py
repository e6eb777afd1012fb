"""A scripted SIP telephone with sound, for the demo and for tests."""
