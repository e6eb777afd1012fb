"""Mail to staff and, by rooms' ways of getting in touch, to others."""
