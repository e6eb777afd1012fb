"""Safe contact: what people said of being reached, and the rule that every way out asks."""
