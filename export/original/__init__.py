"""The original model: its samples, its outputs, its own noise."""
