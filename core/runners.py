"""Running an exported file on this machine: one protocol, one module per runtime.

A runner declares its inputs and outputs, checks a feed once, and returns fresh arrays. Runtimes are imported only
when a runner for them is opened.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ParityError, SpecError
from pocketvae.spec import Format, TensorSpec

Array = npt.NDArray[np.generic]
FloatArray = npt.NDArray[np.float32]


class Kernels(enum.StrEnum):
    """Which implementations of the operators run.

    OPTIMIZED is what an app gets by default (XNNPACK in LiteRT, all graph optimizations in onnxruntime). BUILTIN is
    LiteRT without its default delegate, or onnxruntime without graph optimizations.
    """

    OPTIMIZED = "optimized"
    BUILTIN = "builtin"


class Runner(ABC):
    """One loaded artifact, ready to run; a context manager.

    Attributes:
        inputs: Input name to its interface.
        outputs: Output name to its interface.
        runtime: Name and version of the runtime.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    runtime: str

    @abstractmethod
    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Runs once on arrays of exactly the declared shapes and dtypes and returns fresh arrays; checks nothing."""

    @abstractmethod
    def close(self) -> None:
        """Frees the model; the runner cannot be used afterwards."""

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Runs once, after checking the feed.

        Raises:
            SpecError: an input is missing or unknown, or has another shape or dtype than declared.
        """
        if feed.keys() != self.inputs.keys():
            raise SpecError(f"inputs must be {sorted(self.inputs)}, got {sorted(feed)}")
        for name, spec in self.inputs.items():
            array = feed[name]
            if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
                raise SpecError(f"input {name!r} must be {spec.shape} {spec.dtype}, got {array.shape} {array.dtype}")
        return self.run(feed)

    def infer_real(self, feed: Mapping[str, Array]) -> dict[str, FloatArray]:
        """Runs once on real numbers: quantizes integer inputs and dequantizes integer outputs; labels stay as they are.

        Raises:
            SpecError: as `infer`.
        """
        unknown = feed.keys() - self.inputs.keys()
        if unknown:
            raise SpecError(f"inputs must be {sorted(self.inputs)}, got {sorted(feed)}")
        ready = {name: quantize(array, self.inputs[name]) for name, array in feed.items()}
        return {name: dequantize(array, self.outputs[name]) for name, array in self.infer(ready).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def run_samples(runner: Runner, inputs: Mapping[str, Array]) -> dict[str, FloatArray]:
    """Runs a batch-1 artifact on every sample.

    Args:
        runner: Of an artifact whose batch is 1.
        inputs: Input name to `[N, ...]`: real numbers, or integers such as labels that are none.

    Returns:
        Output name to `[N, ...] float32` real numbers.

    Raises:
        SpecError: the inputs do not fit the runner.
    """
    count = len(next(iter(inputs.values())))
    results = [
        runner.infer_real({name: values[index : index + 1] for name, values in inputs.items()})
        for index in range(count)
    ]
    return {name: np.concatenate([result[name] for result in results]) for name in runner.outputs}


def quantize(array: Array, spec: TensorSpec) -> Array:
    """Maps real numbers to the tensor's integers, rounding half to even and saturating.

    A tensor without quantization takes the values as they are, in its own type.
    """
    if spec.quantization is None:
        return array.astype(spec.dtype, copy=False)
    info = np.iinfo(np.dtype(spec.dtype))
    scaled = np.round(array.astype(np.float64) / spec.quantization.scale) + spec.quantization.zero_point
    return np.clip(scaled, info.min, info.max).astype(spec.dtype)


def dequantize(array: Array, spec: TensorSpec) -> FloatArray:
    """Maps the tensor's integers to real numbers; floats pass through."""
    if spec.quantization is None:
        return array.astype(np.float32, copy=False)
    centred = array.astype(np.float64) - spec.quantization.zero_point
    return (centred * spec.quantization.scale).astype(np.float32)


def open_runner(path: Path, format: Format, *, num_threads: int = 1, kernels: Kernels = Kernels.OPTIMIZED) -> Runner:
    """Loads an artifact on this machine's CPU.

    Args:
        path: The `.tflite` or `.onnx` file.
        format: Which runtime loads it.
        num_threads: Threads inside one inference, the same for every runtime.
        kernels: Which operator implementations run.

    Raises:
        SpecError: `num_threads` is below 1.
        ParityError: the file is missing, truncated or cannot be loaded.
        TargetError: the runtime is not installed.
    """
    if num_threads < 1:
        raise SpecError(f"num_threads must be at least 1, got {num_threads}")
    if not path.is_file():
        raise ParityError(f"{path} does not exist")
    if format is Format.TFLITE:
        from pocketvae.runner_litert import LiteRtRunner

        return LiteRtRunner(path, num_threads=num_threads, kernels=kernels)
    from pocketvae.runner_onnx import OnnxRunner

    return OnnxRunner(path, num_threads=num_threads, kernels=kernels)
