"""Integers in place of floats, within a budget."""
