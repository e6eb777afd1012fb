"""Requests to state bodies: composed from a record, previewed, followed to the end."""
