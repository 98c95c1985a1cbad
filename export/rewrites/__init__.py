"""Exact rewrites: graphs that compute the same values in fewer or faster operations, and the choice among them."""
