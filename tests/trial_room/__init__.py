"""The garden: a whole room above appeals that no line below it names; it offers to most points."""
