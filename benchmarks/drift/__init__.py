"""Tests whether a quantized VAE still has the same distribution: likelihood, samples, diversity."""
