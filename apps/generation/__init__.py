"""Image generation: samples from the prior and paths through latent space."""
