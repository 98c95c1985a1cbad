"""Images from the prior and ways through the latent space."""
