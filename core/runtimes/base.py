"""Running an exported file on this machine: one protocol, one module per runtime.

A runner declares its inputs and outputs, checks a feed once, and returns fresh arrays. Runtimes are imported only
when a runner for them is opened.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ManifestError, ParityError, SpecError
from pocketvae.numerics.pixels import from_pixels, to_pixels
from pocketvae.spec import Format, TensorSpec

if TYPE_CHECKING:
    from pocketvae.system.files import StrPath

Array = npt.NDArray[np.generic]
FloatArray = npt.NDArray[np.float32]
# What a file is called in errors where only its bytes are known.
UNNAMED = "the file"
CLOSED = "the model is closed: open it again"


class Optimizations(enum.StrEnum):
    """Whether a runtime may replace a file's operators by faster ones, as it does in an app.

    ON: LiteRT hands operators to its default delegate XNNPACK; onnxruntime applies all graph optimizations. OFF: LiteRT
    runs its built-in kernels without a delegate; onnxruntime runs the graph as it is stored.
    """

    ON = "optimized"
    OFF = "builtin"


class Runner(ABC):
    """One loaded artifact, ready to run; a context manager.

    Several threads may run one at the same time and get the values that one thread gets.

    Attributes:
        inputs: Interface of each input by name, for `batch`.
        outputs: Interface of each output by name, for `batch`.
        batch: Batch size that it was opened for; the others of the file also work.
        batches: Batch sizes that the file has; empty if it is dynamic.
        runtime: Name and version of the runtime.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    batch: int
    batches: tuple[int, ...]
    runtime: str

    @abstractmethod
    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Runs once on arrays of the declared shapes and dtypes and returns fresh arrays; checks nothing.

        The first dimension may be any of the file's batch sizes.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees the model; the runner cannot be used afterwards."""

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Runs once on arrays in the file's own types, with the batch that they have.

        Raises:
            SpecError: an input is missing or unknown, has another shape or dtype than declared, or the file does not
                support its batch size.
        """
        self._check(feed)
        return self._invoke(feed)

    def prepare(self, feed: Mapping[str, Array]) -> Callable[[], dict[str, Array]]:
        """Checks a feed once and returns the call that runs it, without further checks: what is timed.

        Raises:
            SpecError: as `run`.
        """
        self._check(feed)
        return partial(self._invoke, feed)

    def run_real(
        self, feed: Mapping[str, Array], image_range: tuple[float, float] = (0.0, 1.0)
    ) -> dict[str, FloatArray]:
        """Runs once on real numbers: quantizes integer inputs and dequantizes integer outputs; labels stay as they are.

        Args:
            feed: Input name to `[N, ...]`.
            image_range: What pixels 0 and 255 stand for.

        Raises:
            SpecError: as `run`.
        """
        self._check_names(feed)
        ready = {name: quantize(array, self.inputs[name], image_range) for name, array in feed.items()}
        return {name: dequantize(array, self.outputs[name], image_range) for name, array in self.run(ready).items()}

    def run_samples(
        self, inputs: Mapping[str, Array], image_range: tuple[float, float] = (0.0, 1.0)
    ) -> dict[str, FloatArray]:
        """Runs every sample, in batches of the size that the runner was opened for.

        An incomplete last batch is padded with its last sample, and the outputs for the padding are dropped.

        Args:
            inputs: Input name to `[N, ...]`: real numbers, or integers such as labels.
            image_range: What pixels 0 and 255 stand for.

        Returns:
            Output name to `[N, ...] float32` real numbers.

        Raises:
            SpecError: as `run`.
        """
        self._check_names(inputs)
        counts = {name: len(values) if np.ndim(values) else 0 for name, values in inputs.items()}
        count = min(counts.values())
        if count == 0 or count < max(counts.values()):
            found = ", ".join(f"{number} of {name!r}" for name, number in counts.items())
            raise SpecError(f"there must be as many samples of every input, and at least one, got {found}")
        results: list[dict[str, Array]] = []
        for start in range(0, count, self.batch):
            feed = {
                name: quantize(_filled(values[start : start + self.batch], self.batch), self.inputs[name], image_range)
                for name, values in inputs.items()
            }
            if not results:  # all calls have the same names, shapes and types
                self._check(feed)
            results.append(self._invoke(feed))
        return {
            name: dequantize(np.concatenate([result[name] for result in results])[:count], spec, image_range)
            for name, spec in self.outputs.items()
        }

    def _check_names(self, feed: Mapping[str, Array]) -> None:
        if feed.keys() != self.inputs.keys():
            raise SpecError(f"inputs must be {sorted(self.inputs)}, got {sorted(feed)}")

    def _check(self, feed: Mapping[str, Array]) -> None:
        self._check_names(feed)
        first = next(iter(feed.values()))
        batch = len(first) if first.ndim else 0
        check_batch(batch, self.batches)
        for name, spec in self.inputs.items():
            array, shape = feed[name], (batch, *spec.shape[1:])
            if array.shape != shape or array.dtype != np.dtype(spec.dtype):
                raise SpecError(f"input {name!r} must be {shape} {spec.dtype}, got {array.shape} {array.dtype}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _filled(part: Array, size: int) -> Array:
    """Returns a batch of the given size, filled up with its last sample."""
    return part if len(part) == size else np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])


def read_source(source: StrPath | bytes) -> tuple[bytes, str]:
    """Returns a file's bytes, and what it is called in errors.

    Raises:
        ParityError: the path names no file.
    """
    if isinstance(source, bytes):
        return source, UNNAMED
    path = Path(source)
    if not path.is_file():
        raise ParityError(f"{path} does not exist")
    return path.read_bytes(), str(path)


def load_error(runtime: str, format: Format, content: bytes, name: str, reason: str) -> ParityError:
    """Builds the error for a file that a runtime does not load: what is wrong with its structure, else the reason.

    Args:
        runtime: Its name.
        format: Of the file.
        content: The file.
        name: Of the file.
        reason: In the runtime's words.
    """
    from pocketvae.formats.structure import check_structure

    try:
        check_structure(format, content)
    except ManifestError as e:
        return ParityError(str(e) if name == UNNAMED else f"{name}: {e}")
    return ParityError(f"{runtime} cannot load {name}: {reason}")


def check_batch(batch: int, batches: tuple[int, ...]) -> None:
    """Checks that a file supports a batch size; without listed sizes it supports all.

    Raises:
        SpecError: the message says which it has.
    """
    if batch < 1 or (batches and batch not in batches):
        sizes = ", ".join(str(size) for size in batches) or "1 and more"
        raise SpecError(f"the file supports batch sizes {sizes}, got {batch}: pocketvae export --batch adds sizes")


def quantize(array: Array, spec: TensorSpec, image_range: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Maps real numbers to the tensor's integers, rounding half to even and saturating; pixels round half up.

    A tensor without quantization takes the values as they are, in its own type; pixels are taken as such.
    """
    if spec.holds_pixels:
        return array if array.dtype == np.uint8 else to_pixels(array, image_range)
    if spec.quantization is None:
        return array.astype(spec.dtype, copy=False)
    info = np.iinfo(np.dtype(spec.dtype))
    scaled = np.round(array.astype(np.float64) / spec.quantization.scale) + spec.quantization.zero_point
    return np.clip(scaled, info.min, info.max).astype(spec.dtype)


def dequantize(array: Array, spec: TensorSpec, image_range: tuple[float, float] = (0.0, 1.0)) -> FloatArray:
    """Maps the tensor's integers to real numbers, pixels to `image_range`; floats pass through."""
    if spec.holds_pixels:
        return from_pixels(array, image_range)
    if spec.quantization is None:
        return array.astype(np.float32, copy=False)
    centred = array.astype(np.float64) - spec.quantization.zero_point
    return (centred * spec.quantization.scale).astype(np.float32)
