"""Sequences `[T, C]`: channels over time."""

from __future__ import annotations

from pocketvae.kinds.curves import Curves


class Sequences(Curves):
    """Time steps of one or more channels."""

    noun, plural = "sequence", "sequences"

    def description(self, shape: tuple[int, ...]) -> str:
        """See `Kind.description`."""
        return f"sequences of {self.item(shape)}"

    def item(self, shape: tuple[int, ...]) -> str:
        """See `Kind.item`."""
        steps, channels = shape
        return f"{steps} time steps, {channels} channel{'s' if channels > 1 else ''}"
