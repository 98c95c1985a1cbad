"""The program that `tflm.run_on_tflm` starts: one file and some inputs in TensorFlow Lite Micro, in a folder.

It reads `model.tflite` and `inputs.npz`, whose arrays `0`, `1`, ... hold each input as stored, `[N, 1, ...]`, and
writes `outputs.npz` of the same form and `facts.json`; what the interpreter says of its arena goes to stderr.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from pocketvae.errors import TargetError
from pocketvae.portability.tflm_arena import micro_interpreter, smallest_arena_bytes


def main() -> int:
    """Runs the file in the folder that the command line names."""
    folder = Path(sys.argv[1])
    content = (folder / "model.tflite").read_bytes()
    try:
        arena_bytes = smallest_arena_bytes(content)
    except TargetError as e:
        (folder / "facts.json").write_text(json.dumps({"problem": str(e)}), "utf-8")
        return 0
    interpreter = micro_interpreter(content, arena_bytes)
    with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
        inputs = [arrays[str(index)] for index in range(len(arrays.files))]
    outputs: list[list[np.ndarray]] = []
    for sample in zip(*inputs, strict=True):
        for index, value in enumerate(sample):
            interpreter.set_input(value, index)
        interpreter.invoke()
        outputs.append([np.array(interpreter.get_output(index)) for index in range(int(sys.argv[2]))])
    stacked = {str(index): np.stack(column) for index, column in enumerate(zip(*outputs, strict=True))}
    np.savez(folder / "outputs.npz", **stacked)  # type: ignore[arg-type]
    interpreter.print_allocations()
    (folder / "facts.json").write_text(json.dumps({"arena_bytes": arena_bytes}), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
