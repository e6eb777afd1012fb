"""Reconciliation of the register with Asterisk's Channel Event Logging (CEL), and repairs."""
