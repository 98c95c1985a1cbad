"""Exported files as something to call."""
