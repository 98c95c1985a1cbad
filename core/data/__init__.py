"""Images and other samples, from files to arrays."""
