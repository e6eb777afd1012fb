"""Fields, topics and terms of the record, edited by the center."""
