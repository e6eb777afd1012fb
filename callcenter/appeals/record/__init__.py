"""The record of an appeal: what people enter and how it changes."""
