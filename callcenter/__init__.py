"""The backend of contact center 111 of Kazakhstan."""
