"""What an exported file says of itself, and files that are made for firmware."""
