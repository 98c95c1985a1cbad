"""The smallest arena in which TensorFlow Lite Micro runs a file, in a process that has tflite-micro on its path."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from typing import Any, NoReturn

from pocketvae.errors import TargetError

_LARGEST_ARENA_BYTES = 256 << 20
# TensorFlow Lite Micro aligns its arena to 16 bytes.
_ARENA_STEP_BYTES = 16


@functools.lru_cache(maxsize=2)
def smallest_arena_bytes(content: bytes) -> int:
    """Returns the size of the smallest arena in which a model can be loaded and called, by bisection.

    Raises:
        TargetError: there is none; the message has the interpreter's own reason.
    """
    too_small, enough = 0, 1 << 14
    while (problem := _problem(content, enough)) and enough < _LARGEST_ARENA_BYTES:
        too_small, enough = enough, 4 * enough
    if problem:
        raise TargetError(f"TensorFlow Lite Micro cannot load it: {problem}")
    while enough - too_small > _ARENA_STEP_BYTES:
        middle = (enough + too_small) // 2 // _ARENA_STEP_BYTES * _ARENA_STEP_BYTES
        too_small, enough = (middle, enough) if _problem(content, middle) else (too_small, middle)
    return enough


def micro_interpreter(content: bytes, arena_bytes: int) -> Any:
    """Returns an interpreter that has loaded a file."""
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)


def _problem(content: bytes, arena_bytes: int) -> str:
    """Says why a model cannot be used in an arena; empty where it can.

    It is tried in a process of its own: in an arena a little too small the interpreter writes past the end.
    """
    if sys.platform == "win32":
        raise TargetError("the target tflm needs Linux: tflite-micro has no wheels for another system")
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _try_and_exit(content, arena_bytes, said.fileno())
        _, status = os.waitpid(child, 0)
        if status == 0:
            return ""
        said.seek(0)
        lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines()]
    return next((line for line in lines if line), "its process ended")


def _try_and_exit(content: bytes, arena_bytes: int, descriptor: int) -> NoReturn:
    """Loads a model and calls it once; never returns."""
    os.dup2(descriptor, 2)
    try:
        interpreter = micro_interpreter(content, arena_bytes)
        interpreter.invoke()
    except BaseException:
        os._exit(1)
    os._exit(0)
