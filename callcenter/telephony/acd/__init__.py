"""Automatic call distribution: queue, priority, commands into calls."""
