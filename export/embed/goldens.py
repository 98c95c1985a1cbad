"""Selection and packing of the golden pairs that go into a file.

Tolerances apply to all goldens, to their 99th percentile or mean. A few pairs are representative if the artifact
deviates on them as it does on all: a file that passes in its bundle then also passes alone, and one that exceeds its
budget there also exceeds it alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import thin
from pocketvae.bundle.embedded import EmbeddedArray, EmbeddedGoldens, restore
from pocketvae.bundle.manifest import Stratum
from pocketvae.numerics.metrics import measure
from pocketvae.numerics.pixels import to_pixels
from pocketvae.numerics.tolerance import Tolerance, largest_error_ratio
from pocketvae.system.files import sha256_bytes

FloatArray = npt.NDArray[np.float32]
# Number of pairs, and every how many values of an output one is kept: the first choice that is small enough is taken.
# The steps share no factor with 3, so that every channel of a colour image has its part.
_CHOICES = ((4, 1), (3, 1), (2, 1), (1, 1), (1, 5), (1, 17), (1, 61))
_LARGEST_SHARE = 0.05
_ALWAYS_FINE_BYTES = 2048
# Half precision rounds a pixel by up to 1/4096, which must be small beside the limit.
_HALF_PRECISION_FROM = 1 / 256


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """All goldens of a component, and the artifact's outputs for them.

    Attributes:
        inputs: Inputs `[N, ...]` by name.
        expected: The original's outputs `[N, ...]` by name.
        found: The same for the artifact.
        strata: Kinds of goldens, covering all N.
        tolerances: Tolerances of the artifact.
        image_span: White minus black.
    """

    inputs: Mapping[str, npt.NDArray[Any]]
    expected: Mapping[str, FloatArray]
    found: Mapping[str, FloatArray]
    strata: tuple[Stratum, ...]
    tolerances: tuple[Tolerance, ...]
    image_span: float = 1.0

    def error_ratio(self, chosen: Sequence[int], expected: Mapping[str, FloatArray], step: int = 1) -> float:
        """Returns the largest ratio of an error to its limit, over only the chosen goldens."""
        found = {name: thin(values[list(chosen)], step) for name, values in self.found.items()}
        return largest_error_ratio(
            (measure(item, expected, found, image_span=self.image_span), item.limit) for item in self.tolerances
        )

    def kind_of(self, index: int) -> str:
        """Returns the kind of one golden."""
        return next((s.name for s in self.strata if s.start <= index < s.start + s.count), "")


def choose_goldens(candidates: Candidates, file_size_bytes: int) -> tuple[EmbeddedGoldens, bytes]:
    """Chooses golden pairs and packs them.

    Args:
        candidates: The available goldens.
        file_size_bytes: Size of the artifact; if possible, the pairs take at most a twentieth of it.

    Returns:
        Their description, and the bytes to store.
    """
    order = _representative(candidates)
    largest = max(_ALWAYS_FINE_BYTES, int(_LARGEST_SHARE * file_size_bytes))
    for count, step in _CHOICES:
        packed = _pack(candidates, sorted(order[:count]), step)
        if len(packed[1]) <= largest:
            break
    return packed


def _representative(candidates: Candidates) -> list[int]:
    """Returns the goldens, starting with those on which the artifact deviates as it does on all of them.

    Kinds take turns. If all goldens together are within the limits, those that deviate more come last; otherwise those
    that deviate less.
    """
    count = len(next(iter(candidates.expected.values())))
    single = np.array([candidates.error_ratio([index], _rows(candidates.expected, [index])) for index in range(count)])
    whole = candidates.error_ratio(range(count), candidates.expected)
    beyond = single > whole if whole <= 1 else single < whole
    with np.errstate(invalid="ignore"):  # of an artifact that returns NaN every deviation is infinite
        ranked = [int(index) for index in np.argsort(np.abs(single - whole), kind="stable")]
    turns: dict[str, int] = {}
    rounds = {}
    for index in ranked:
        kind = candidates.kind_of(index)
        rounds[index] = turns.get(kind, 0)
        turns[kind] = rounds[index] + 1
    return sorted(ranked, key=lambda index: (bool(beyond[index]), rounds[index]))


def _pack(candidates: Candidates, chosen: list[int], step: int) -> tuple[EmbeddedGoldens, bytes]:
    inputs = [_store(name, values[chosen], 1, half=False) for name, values in candidates.inputs.items()]
    outputs = _store_outputs(candidates, chosen, step)
    data = b"".join(values.astype(values.dtype.newbyteorder("<")).tobytes() for _, values in (*inputs, *outputs))
    stored = zlib.compress(data, 9)
    goldens = EmbeddedGoldens(
        kinds=tuple(candidates.kind_of(index) for index in chosen),
        inputs=tuple(array for array, _ in inputs),
        outputs=tuple(array for array, _ in outputs),
        sha256=sha256_bytes(stored),
    )
    return goldens, stored


def _store_outputs(
    candidates: Candidates, chosen: list[int], step: int
) -> list[tuple[EmbeddedArray, npt.NDArray[Any]]]:
    """Stores the original's outputs, in half precision if that does not change the verdict."""
    limits = [item.limit for item in candidates.tolerances]
    rows = {name: thin(values, step) for name, values in _rows(candidates.expected, chosen).items()}
    if limits and min(limits) >= _HALF_PRECISION_FROM:
        halves = [_store(name, values, step, half=True) for name, values in rows.items()]
        rounded = {array.name: restore(values, array).astype(np.float32) for array, values in halves}
        passed = candidates.error_ratio(chosen, rows, step) <= 1
        if (candidates.error_ratio(chosen, rounded, step) <= 1) == passed:
            return halves
    return [_store(name, values, step, half=False) for name, values in rows.items()]


def _store(name: str, values: npt.NDArray[Any], step: int, *, half: bool) -> tuple[EmbeddedArray, npt.NDArray[Any]]:
    """Returns an array in the smallest type that holds it: pixels of images are whole steps of 1/255."""
    if np.issubdtype(values.dtype, np.integer):
        stored: npt.NDArray[Any] = values.astype(np.int32)
        scale = 0.0
    else:
        stored, scale = values.astype(np.float16 if half else np.float32), 0.0
        steps = to_pixels(values)
        if ((steps.astype(np.float64) * (1 / 255)).astype(np.float32) == values).all():
            stored, scale = steps, 1 / 255
    array = EmbeddedArray(name=name, dtype=stored.dtype.name, shape=stored.shape, step=step, scale=scale)
    return array, stored


def _rows(outputs: Mapping[str, FloatArray], chosen: Sequence[int]) -> dict[str, FloatArray]:
    return {name: values[list(chosen)] for name, values in outputs.items()}
