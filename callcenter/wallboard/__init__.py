"""Supervisors' live view: figures, calls in progress, queue control."""
