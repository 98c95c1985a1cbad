"""The explorer: a page that runs a bundle's decoder in the browser."""
