"""Quantization within an error budget."""
