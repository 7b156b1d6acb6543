"""The engine: when each player takes its turn, and everything around the turns that knows of no particular GAN."""
