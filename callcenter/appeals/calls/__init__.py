"""The telephone calls of appeals."""
