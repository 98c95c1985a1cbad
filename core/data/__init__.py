"""Images as arrays: reading, splitting, converting and showing them."""
