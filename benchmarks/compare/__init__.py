"""Two results or two bundles, side by side."""
