"""Opening an exported file with the runtime of its format, which is imported only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketvae.runtimes.base import Optimizations, Runner
from pocketvae.spec import Format

if TYPE_CHECKING:
    from pocketvae.system.files import StrPath


def open_runner(
    source: StrPath | bytes,
    format: Format,
    *,
    num_threads: int = 1,
    optimizations: Optimizations = Optimizations.ON,
    batch: int = 1,
) -> Runner:
    """Loads an artifact on this machine's CPU.

    Args:
        source: The `.tflite` or `.onnx` file, or its bytes.
        format: Which runtime loads it.
        num_threads: Threads used by one call, the same for every runtime.
        optimizations: Whether the runtime may replace operators by faster ones.
        batch: Samples per call, one of the file's batch sizes.

    Raises:
        SpecError: `num_threads` is below 1 or above four for each core, or the file does not support the batch size;
            the message says which it supports.
        ParityError: the file is missing, truncated or cannot be loaded.
        TargetError: the runtime is not installed.
    """
    if num_threads != 1:
        # Here, because what a device times begins with few modules, and mostly with one thread.
        from pocketvae.system.limits import check_threads

        check_threads(num_threads, "num_threads")
    if Format(format) is Format.TFLITE:
        from pocketvae.runtimes.litert import LiteRtRunner

        return LiteRtRunner(source, num_threads=num_threads, optimizations=optimizations, batch=batch)
    from pocketvae.runtimes.onnxruntime import OnnxRunner

    return OnnxRunner(source, num_threads=num_threads, optimizations=optimizations, batch=batch)
