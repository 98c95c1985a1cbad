"""Programs and packages that targets need, set up outside the project."""
