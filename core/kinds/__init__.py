"""The kinds of data that a VAE models: what one item is called, how it is shown and in which units it is compared."""
