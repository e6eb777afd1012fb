"""Settings, errors, time, encryption: nothing of any room."""
