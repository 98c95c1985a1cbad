"""The program that compiles an ONNX file for a Hexagon: the context file that an app on such a phone loads.

Run as `python -m pocketvae.benchmarks.remote.npu_compiler SOURCE OUT GENERATION`, with onnxruntime-qnn importable. The
context file is loaded back, and must return on the simulator exactly what the file returns that it came from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.remote.hexagon import HexagonRunner, open_on_npu
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Array, Runner

_SAMPLES = 4


def main(words: list[str]) -> int:
    """Writes the context file; an error is one line on stderr."""
    source, out, generation = Path(words[0]), Path(words[1]), words[2]
    try:
        open_on_npu(source, generation, context=out)
        if not out.is_file():
            raise TargetError("onnxruntime-qnn wrote no context file")
        with HexagonRunner(source, generation, 1) as own, HexagonRunner(out, generation, 1) as compiled:
            _check(own, compiled)
    except TargetError as e:
        out.unlink(missing_ok=True)
        sys.stderr.write(f"error: {e}\n")
        return 1
    return 0


def _check(own: Runner, compiled: Runner) -> None:
    """Runs both on the same random inputs.

    Raises:
        TargetError: an output differs.
    """
    rng = np.random.default_rng(0)
    for _ in range(_SAMPLES):
        feed = {name: _drawn(rng, spec.shape, spec.dtype) for name, spec in own.inputs.items()}
        expected, found = own.run(feed), compiled.run(feed)
        for name, values in expected.items():
            if not np.array_equal(values, found[name], equal_nan=True):
                raise TargetError(f"the compiled file returns another {name} than the file it came from")


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    if dtype.startswith("float"):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
