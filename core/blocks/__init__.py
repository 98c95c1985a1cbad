"""Work by the block, shared by workers of a cluster: blocks of fixed size, results in a work folder, exactly once."""
