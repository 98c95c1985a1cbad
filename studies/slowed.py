"""A bundle whose ONNX decoder does the same and more: what a regression looks like, of a size that is chosen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pocketvae.benchmarks.latency.timing import time_values
from pocketvae.bundle import Bundle
from pocketvae.documents import encode
from pocketvae.files import sha256_file
from pocketvae.manifest import MANIFEST_NAME
from pocketvae.runners import open_runner
from pocketvae.spec import Format

_ROUNDS, _VALUES, _LOOPS, _WARMUPS = 30, 20, 4, 50
_STEPS = 9
_WIDEST = 1 << 15


def slowed_bundle(bundle: Bundle, artifact: str, folder: Path, slowdown: float) -> tuple[Path, float]:
    """Copies a bundle and gives one of its ONNX decoders so much to do in addition that it takes longer.

    The work is a matrix product of the latent with zeros, whose mean is added to the image. Its size is found by timing,
    in turns with the decoder as it is.

    Args:
        bundle: To copy.
        artifact: File name of an ONNX decoder.
        folder: To make.
        slowdown: 0.1 for ten per cent.

    Returns:
        The copy, and the slowdown that was reached when it was made.
    """
    shutil.copytree(bundle.path, folder)
    file = folder / artifact
    narrow, wide = 1, _WIDEST
    tried: dict[int, float] = {}
    for _ in range(_STEPS):
        width = int((narrow * wide) ** 0.5)
        file.write_bytes(with_extra_work(bundle.path / artifact, width))
        tried[width] = _ratio(bundle, artifact, file) - 1
        narrow, wide = (width, wide) if tried[width] < slowdown else (narrow, width)
    best = min(tried, key=lambda width: abs(tried[width] - slowdown))
    file.write_bytes(with_extra_work(bundle.path / artifact, best))
    record = bundle.manifest.artifact(artifact)
    changed = replace(record, file=replace(record.file, sha256=sha256_file(file), size_bytes=file.stat().st_size))
    artifacts = tuple(changed if each.name == artifact else each for each in bundle.manifest.artifacts)
    (folder / MANIFEST_NAME).write_text(encode(replace(bundle.manifest, artifacts=artifacts)), "utf-8")
    return folder, tried[best]


def with_extra_work(path: Path, width: int) -> bytes:
    """Returns the decoder with `image + mean(z A)`, where A is `[D, width]` and holds zeros."""
    model = onnx.load(path)
    graph = model.graph
    image = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["image_before" if name == image else name for name in node.output]
    zeros = np.zeros((graph.input[0].type.tensor_type.shape.dim[1].dim_value, width), np.float32)
    graph.initializer.append(numpy_helper.from_array(zeros, "extra_weights"))
    graph.node.extend(
        [
            helper.make_node("MatMul", [graph.input[0].name, "extra_weights"], ["extra_product"]),
            helper.make_node("ReduceMean", ["extra_product"], ["extra_mean"], keepdims=0),
            helper.make_node("Add", ["image_before", "extra_mean"], [image]),
        ]
    )
    return model.SerializeToString()


def _ratio(bundle: Bundle, artifact: str, changed: Path) -> float:
    """Returns how many times longer the changed file takes, the median over rounds in turns."""
    inputs = bundle.goldens(bundle.manifest.artifact(artifact).component).inputs
    feed = {name: values[:1] for name, values in inputs.items()}
    with (
        open_runner(bundle.path / artifact, Format.ONNX) as before,
        open_runner(changed, Format.ONNX) as after,
    ):
        calls: list[Callable[[], object]] = [lambda: before.run(feed), lambda: after.run(feed)]
        for call in calls:
            time_values(call, loops=1, count=_WARMUPS)
        rounds = [
            [float(np.median(time_values(call, loops=_LOOPS, count=_VALUES))) for call in calls] for _ in range(_ROUNDS)
        ]
    return float(np.median([after_s / before_s for before_s, after_s in rounds]))
