"""A controller: the process that serves calls, put together from the rooms that it needs."""
