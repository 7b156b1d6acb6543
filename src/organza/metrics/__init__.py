"""How good samples are: numbers with their protocol."""
