"""Exported files as files, read without a runtime."""
