"""Finding appeals: queries, work lists, saved searches, export."""
