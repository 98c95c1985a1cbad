"""Comparison of two results or two bundles."""
