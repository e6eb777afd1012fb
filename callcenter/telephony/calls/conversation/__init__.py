"""Caller and consultant talk: hold, transfer, supervision."""
