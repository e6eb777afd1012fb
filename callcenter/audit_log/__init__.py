"""The audit log for people: searched, exported, and beside the appeal that it is about."""
