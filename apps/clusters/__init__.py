"""The applications on a cluster: sources read by the block, what is computed of a block, and a run from end to end."""
