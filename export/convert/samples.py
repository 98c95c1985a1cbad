"""Samples one at a time, as converters take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy.typing as npt


def each_sample(inputs: Mapping[str, npt.NDArray[Any]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Yields every sample as a batch of one, by input name."""
    for index in range(len(next(iter(inputs.values())))):
        yield {name: values[index : index + 1] for name, values in inputs.items()}
