"""Urgent notifications of state bodies: called at once, escalated, followed to the person."""
