"""The driver for what people of the center enter: letters on paper, and visits."""
