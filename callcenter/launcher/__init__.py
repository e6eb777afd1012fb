"""`callcenter up`: run every process of the product on one machine."""
