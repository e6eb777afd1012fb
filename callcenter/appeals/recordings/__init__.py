"""Search of recordings by their appeals."""
