"""Reference formulas in numpy that the rooms share."""
