"""Live telephone calls: from the switch to the journal."""
