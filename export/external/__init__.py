"""User-supplied models: inspection, and the roles of their inputs and outputs."""
