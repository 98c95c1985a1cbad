"""Runtimes: exported files as callables."""
