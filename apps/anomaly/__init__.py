"""How unusual an image is."""
