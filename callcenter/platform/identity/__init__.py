"""Users, sessions, second factors, permissions."""
