"""Vectors `[F]`: rows of a table, curves, signals of one channel."""

from __future__ import annotations

from pocketvae.kinds.curves import Curves


class Vectors(Curves):
    """Values in a row."""

    noun, plural = "vector", "vectors"

    def description(self, shape: tuple[int, ...]) -> str:
        """See `Kind.description`."""
        return f"vectors of {self.item(shape)}"

    def item(self, shape: tuple[int, ...]) -> str:
        """See `Kind.item`."""
        return f"{shape[0]} value{'s' if shape[0] > 1 else ''}"
