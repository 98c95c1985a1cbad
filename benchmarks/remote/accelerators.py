"""Whether an accelerator did what it was asked to: which share of a graph it took, and whether it computed at all."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from pocketvae.errors import TargetError
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Precision

# What LiteRT's delegate says of a graph that it does not take whole.
_SHARE = re.compile(r"(\d+) operations will run on the GPU, and the remaining (\d+) operations")
_REFUSED = re.compile(r"^([A-Z][A-Z0-9_]+): (.+)$", re.MULTILINE)
_LIST = "operations are not supported by GPU delegate:"
_FLOATS = frozenset({Precision.FLOAT32, Precision.FLOAT16})


def gpu_refusal(said: str, failure: str) -> str:
    """Returns why LiteRT's GPU accelerator does not take a graph, with its share where it says so.

    Args:
        said: What it printed while it loaded the file.
        failure: The error.
    """
    share, refused = _SHARE.search(said), _REFUSED.findall(said.partition(_LIST)[2])
    if share is None:
        return f"LiteRT's GPU accelerator does not load it: {failure.strip().splitlines()[-1][:200]}"
    taken, left = int(share[1]), int(share[2])
    kinds = ", ".join(dict.fromkeys(name for name, _ in refused)) or "unknown"
    return f"the GPU takes {taken} of {taken + left} operations; not supported: {kinds}"


def deviation_from_cpu(
    accelerator: str, precision: Precision, outputs: Mapping[str, FloatArray], expected: Mapping[str, FloatArray]
) -> float:
    """Returns how far an accelerator's outputs are from those of the CPU beside it.

    Args:
        accelerator: In words: `the GPU`.
        precision: Of the artifact.
        outputs: Output name to `[N, ...]`, the accelerator's.
        expected: The CPU's.

    Raises:
        TargetError: a file that computes in floats gave the same bits, which another order of additions does not.
            Integers may be: LiteRT 2.3.0 rounds quantized values in single precision as XNNPACK does.
    """
    is_same = all(np.array_equal(outputs[name], values) for name, values in expected.items())
    if is_same and precision in _FLOATS:
        raise TargetError(
            f"every output has exactly the bits of the CPU's, so it did not run on {accelerator}, whatever the runtime "
            "says of it"
        )
    return max(float(np.abs(outputs[name] - values).max()) for name, values in expected.items())
