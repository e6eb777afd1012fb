"""Several controllers on one Asterisk: membership, takeover, leaks."""
