"""TensorFlow Lite Micro, the interpreter that firmware links: where it is installed, and what it does with one file."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import TargetError
from pocketvae.installation import python_path
from pocketvae.system.files import write_bytes
from pocketvae.system.temporary import temporary_directory
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder

TFLM_VERSION = "0.dev20261023182759"
# The library in its wheel, which has every kernel and shows its C++ functions.
RUNTIME_LIBRARY = "tflite_micro/python/tflite_micro/_runtime.so"
_REQUIREMENTS = (f"tflite-micro=={TFLM_VERSION}", "flatbuffers", "pyyaml")
_DOWNLOAD_BYTES = 1_600_000
_TIME_LIMIT_S = 300.0
_ALLOCATION = re.compile(
    r"\[RecordingMicroAllocator\] (?:'(?P<kind>[^']+)' used|Arena allocation (?P<part>\w+)) (\d+) "
)

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class MicroRun:
    """What TensorFlow Lite Micro's reference kernels on this machine did with a file.

    Attributes:
        arena_bytes: The smallest arena in which it runs, with this machine's pointers.
        allocations: Parts of the arena by TensorFlow Lite Micro's names, and their bytes.
        outputs: Each output as stored, `[N, 1, ...]`, in the order of the file.
    """

    arena_bytes: int
    allocations: tuple[tuple[str, int], ...]
    outputs: tuple[Array, ...]


def tflm_site() -> Path:
    """Returns the folder that its wheel is installed in."""
    return target_folder("tflm") / "site"


def tflm_step() -> SetupStep:
    """Returns the step of `targets setup` that installs it for this interpreter into a folder of its own."""
    key = " ".join((*_REQUIREMENTS, platform.machine(), platform.python_version()))
    return folder_step(
        tflm_site(),
        text="the Python package tflite-micro and two that it needs, by pip",
        key=key,
        download_bytes=_DOWNLOAD_BYTES,
        make=lambda folder: install_here(folder, _REQUIREMENTS),
    )


def require_tflm() -> None:
    """Checks that it is set up.

    Raises:
        TargetError: it is not.
    """
    if not tflm_step().is_done():
        raise TargetError("tflite-micro is not set up: run pocketvae targets setup tflm")


def run_on_tflm(content: bytes, name: str, inputs: Sequence[Array], output_count: int) -> MicroRun:
    """Runs a file on some inputs, in a process of its own.

    Args:
        content: The TFLite file.
        name: Of the file, for errors.
        inputs: Each input as stored, `[N, 1, ...]`, in the order of the file.
        output_count: How many outputs the file has.

    Raises:
        TargetError: it is not set up, does not take the file, or takes too long.
    """
    require_tflm()
    with temporary_directory() as folder:
        write_bytes(folder / "model.tflite", content)
        np.savez(folder / "inputs.npz", **{str(i): array for i, array in enumerate(inputs)})  # type: ignore[arg-type]
        said = _run_probe(folder, name, output_count)
        facts = json.loads((folder / "facts.json").read_text("utf-8"))
        if "problem" in facts:
            raise TargetError(f"{name}: {facts['problem']}")
        with np.load(folder / "outputs.npz", allow_pickle=False) as arrays:
            outputs = tuple(arrays[str(index)] for index in range(output_count))
    found = [(kind or f"arena: {part}", int(size)) for kind, part, size in _ALLOCATION.findall(said)]
    return MicroRun(arena_bytes=facts["arena_bytes"], allocations=tuple(dict(found).items()), outputs=outputs)


def tflm_environment() -> dict[str, str]:
    """Returns the variables with which this machine's Python finds the wheel."""
    return {"PYTHONPATH": python_path(tflm_site()), "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}


def _run_probe(folder: Path, name: str, output_count: int) -> str:
    """Runs `tflm_probe` and returns what the interpreter said on stderr."""
    command = (sys.executable, "-m", "pocketvae.portability.tflm_probe", str(folder), str(output_count))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **tflm_environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise TargetError(f"{name} on TensorFlow Lite Micro took longer than {_TIME_LIMIT_S:g} s and was ended") from e
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise TargetError(
            f"{name} on TensorFlow Lite Micro failed: {lines[-1].strip()[:300] if lines else 'no reason'}"
        )
    return done.stderr
