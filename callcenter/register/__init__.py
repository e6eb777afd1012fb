"""The record of an appeal (R8, R9, R12): whom and what it is about, its stages and its terms."""
