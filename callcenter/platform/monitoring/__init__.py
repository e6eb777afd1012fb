"""Operational alerts and metrics endpoints."""
