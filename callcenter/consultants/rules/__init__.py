"""Rules of consultants: presence states, skills, teams."""
