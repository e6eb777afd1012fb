"""The worker's tasks beside the jobs of the rooms."""
