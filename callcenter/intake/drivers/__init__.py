"""Drivers of intake: a folder for each way on which written messages come."""
