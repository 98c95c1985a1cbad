"""Whether a quantized VAE still is the same distribution: likelihood, samples, diversity."""
