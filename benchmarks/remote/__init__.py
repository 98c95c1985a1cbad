"""What the targets share: the programs that run inside them, how they are talked to, and how they are set up."""
