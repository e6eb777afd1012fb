"""Data of the center about callers: blocklist, care plans."""
