"""What the worker does beside the jobs of the rooms."""
