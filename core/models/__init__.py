"""The models of a bundle as objects to call."""
