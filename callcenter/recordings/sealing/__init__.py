"""Sealing: from a closed raw file to the encrypted, sealed store."""
