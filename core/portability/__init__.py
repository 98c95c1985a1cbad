"""Portability of an exported file: the oldest runtime, and the operators that accelerators do not support."""
