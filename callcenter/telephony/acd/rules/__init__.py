"""Rules of the distributor: priority, commands into calls."""
