"""User-supplied models: what they are and what their inputs and outputs mean."""
