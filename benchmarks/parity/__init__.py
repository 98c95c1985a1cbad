"""Parity: the checks of every artifact against the original, and the diagnosis of failures."""
