"""The driver for programs, such as the portal of others: each with a token of its own."""
