"""Faults made on purpose, to prove that verify finds them."""
