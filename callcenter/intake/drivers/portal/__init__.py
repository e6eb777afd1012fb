"""The driver for the center's own portal: what it received is opened here alone."""
