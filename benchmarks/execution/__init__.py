"""What it takes to run a bundle somewhere."""
