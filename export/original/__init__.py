"""The original model: its samples, golden outputs and noise floor."""
