"""The foundation of every room; it imports no room."""
