"""Figures of days that are over: calls by day and hour, callers, consultants' hours."""
