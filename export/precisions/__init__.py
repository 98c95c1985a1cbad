"""One module for each precision, by its name: what export does for it, and what it is held to."""
