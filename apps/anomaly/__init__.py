"""Anomaly detection: how unusual an image is."""
