"""Runs files in an old runtime's own Python, 3.7 and later, and saves what they return; see old_runtimes.py.

    python old_runtimes_runner.py JOBS.json OUT

JOBS.json has `module` (`tflite_runtime.interpreter`, `tensorflow.lite`, `ai_edge_litert.interpreter` or `onnxruntime`)
and `artifacts`: name, path, and the inputs in the file's order as `.npy` files of `[N, ...]`. OUT gets `NAME.INDEX.npy`
of `[N, ...]` for each output in the file's order; standard output gets one line of JSON a file.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Runs every artifact; one that fails is told and does not stop the others."""
    jobs = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    # tensorflow.lite is an attribute that is loaded when it is used, and no module to import in every release.
    module = importlib.import_module(jobs["module"].replace("tensorflow.lite", "tensorflow"))
    module = getattr(module, "lite", module)
    run = run_onnx if jobs["module"] == "onnxruntime" else run_tflite
    for job in jobs["artifacts"]:
        values = [np.load(path) for path in job["inputs"]]
        try:
            for index, output in enumerate(run(module, job["path"], values)):
                np.save(Path(sys.argv[2]) / f"{job['name']}.{index}.npy", output)
            error = ""
        except Exception as e:
            error = f"{type(e).__name__}: {e}".strip().splitlines()[0][:200]
        print(json.dumps({"name": job["name"], "error": error}), flush=True)


def run_tflite(module: Any, path: str, values: list[Any]) -> list[Any]:
    """Returns the outputs `[N, ...]` in real numbers, with the delegates that the release applies by itself."""
    interpreter = module.Interpreter(path)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    found: list[list[Any]] = [[] for _ in outputs]
    for row in range(len(values[0])):
        for index, detail in enumerate(inputs):
            interpreter.set_tensor(detail["index"], quantized(values[index][row : row + 1], detail))
        interpreter.invoke()
        for index, detail in enumerate(outputs):
            found[index].append(real(interpreter.get_tensor(detail["index"]).copy(), detail))
    return [np.concatenate(rows) for rows in found]


def quantized(values: Any, detail: dict[str, Any]) -> Any:
    """Returns values as the input's type."""
    kind, (scale, zero_point) = np.dtype(detail["dtype"]), detail["quantization"]
    if not scale:
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.round(values / np.float64(scale)) + zero_point, limits.min, limits.max).astype(kind)


def real(values: Any, detail: dict[str, Any]) -> Any:
    """Returns an output in real numbers."""
    scale, zero_point = detail["quantization"]
    return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32) if scale else values


def run_onnx(module: Any, path: str, values: list[Any]) -> list[Any]:
    """Returns the outputs `[N, ...]` of a session with one thread and the release's own optimizations."""
    options = module.SessionOptions()
    options.intra_op_num_threads = 1
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    rows = []
    for row in range(len(values[0])):
        feed = {name: values[index][row : row + 1] for index, name in enumerate(names)}
        rows.append(session.run(None, feed))
    return [np.concatenate([row[index] for row in rows]) for index in range(len(rows[0]))]


if __name__ == "__main__":
    main()
