"""The interface for running a bundle on a target."""
