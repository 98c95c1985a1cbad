"""Programs and packages that are set up beside pocketvae."""
