"""The mathematics that the rooms share: reference formulas in numpy."""
