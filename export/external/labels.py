"""Latents with the labels of the items that they were encoded from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

# Fewer say too little of how a label's latents are distributed.
LEAST_OF_A_LABEL = 100


@dataclass(frozen=True, kw_only=True)
class LabelledLatents:
    """Latents with labels.

    Attributes:
        latents: `[N, D]`.
        labels: `[N]`; only looked at if there are labels.
        label_count: How many labels a decoder takes; 0 for one that takes none.
    """

    latents: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int32]
    label_count: int = 0

    def __len__(self) -> int:
        """Number of latents."""
        return len(self.latents)

    def __getitem__(self, chosen: npt.NDArray[np.int64] | slice) -> LabelledLatents:
        """Returns some of them."""
        latents, labels = self.latents[chosen], self.labels[chosen]
        return LabelledLatents(latents=latents, labels=labels, label_count=self.label_count)

    def of(self, label: int) -> npt.NDArray[np.float64]:
        """Returns the latents of one label."""
        found: npt.NDArray[np.float64] = self.latents[self.labels == label]
        return found

    @cached_property
    def frequent(self) -> frozenset[int]:
        """The labels with enough latents to fit to; none without labels."""
        counts = np.bincount(self.labels, minlength=self.label_count)[: self.label_count]
        return frozenset(np.flatnonzero(counts >= LEAST_OF_A_LABEL).tolist())
