"""Asterisk's configuration: rendering, escaping, which binary."""
