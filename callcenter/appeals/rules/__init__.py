"""Rules of appeals: numbers, states, deadlines, fields, letters."""
