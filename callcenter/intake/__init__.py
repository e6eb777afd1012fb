"""Written appeals: one way in for all channels, each behind a driver of its own (R7)."""
