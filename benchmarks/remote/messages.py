"""What is said to the program inside a target, one line of JSON each way.

The same messages go to Python on an emulated or a distant machine, to Node and to a page in a browser.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pocketvae.benchmarks.execution.protocol import Latency
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Array, Kernels
from pocketvae.spec import Format

# What an artifact's tensors can hold; anything else in an answer is refused before numpy sees it.
_DTYPES = frozenset({"float32", "float16", "int8", "uint8", "int16", "int32", "int64"})


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An array as text.

    Attributes:
        dtype: numpy name of the element type.
        shape: Dimensions.
        data: The elements, little-endian, row by row, in base64.
    """

    dtype: str
    shape: tuple[int, ...]
    data: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """Run one artifact, or time it.

    Attributes:
        artifact: File name.
        location: Where the program finds the file: a path, or an address on the page's own server.
        format: Of the file.
        accelerator: `cpu`, or `webgpu` where there is one.
        kernels: Which operator implementations run.
        threads: Inside one call.
        batch: Samples in one call.
        inputs: Input name to `[N, ...]`.
        timed_calls: How many calls to time on the first sample; 0 asks for the outputs of all samples.
    """

    artifact: str
    location: str
    format: Format
    accelerator: str = "cpu"
    kernels: Kernels = Kernels.OPTIMIZED
    threads: int = 1
    batch: int = 1
    inputs: dict[str, Tensor]
    timed_calls: int = 0


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output as a runtime describes it; `dtype` or `shape` is empty where it does not say."""

    name: str
    dtype: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a job, or of a greeting.

    Attributes:
        facts: What runs there: versions, processor, adapter.
        figures: Numbers that belong to the artifact, for example `arena_bytes`.
        inputs: As the runtime describes them; None where the program has compared them itself.
        outputs: As the runtime describes them.
        arrays: Output name to `[N, ...]`.
        latency: Of a job that was to be timed.
        fault: The check that the artifact fails: `loads`, `interface` or `runs`.
        missing: Whether the target has not got what the job needs.
        reason: Of a fault or of what is missing.
    """

    facts: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    inputs: tuple[Port, ...] | None = None
    outputs: tuple[Port, ...] | None = None
    arrays: dict[str, Tensor] | None = None
    latency: Latency | None = None
    fault: str = ""
    missing: bool = False
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A job; without one, a greeting that asks for the facts."""

    job: Job | None = None


def pack(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Returns arrays as text."""
    return {
        name: Tensor(
            dtype=array.dtype.name,
            shape=array.shape,
            data=base64.b64encode(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()).decode(),
        )
        for name, array in arrays.items()
    }


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """Returns the arrays that `pack` wrote.

    Raises:
        TargetError: a tensor's type is unknown, or its data does not fit its shape.
    """
    return {name: _array(name, tensor) for name, tensor in tensors.items()}


def _array(name: str, tensor: Tensor) -> Array:
    if tensor.dtype not in _DTYPES:
        raise TargetError(f"the answer's tensor {name!r} has the unknown type {tensor.dtype!r}")
    try:
        data = base64.b64decode(tensor.data, validate=True)
        array = np.frombuffer(data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)
    except (binascii.Error, ValueError) as e:
        raise TargetError(f"the answer's tensor {name!r} does not hold {list(tensor.shape)} {tensor.dtype}") from e
    return array.astype(tensor.dtype)
