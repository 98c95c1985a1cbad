"""Latency as tables, charts and pages."""
