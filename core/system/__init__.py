"""What pocketvae asks of the machine: files, caches, clocks, tools."""
