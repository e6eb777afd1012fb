"""Status of an appeal for its applicant, and the receipt."""
