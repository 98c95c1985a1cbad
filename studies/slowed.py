"""A bundle whose ONNX decoder does the same and more: what a regression looks like, of a size that is chosen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import MANIFEST_NAME
from pocketvae.documents import encode
from pocketvae.formats.onnx.model import load_model
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format
from pocketvae.system.files import sha256_file
from pocketvae.system.timing import time_values

_ROUNDS, _VALUES, _LOOPS, _WARMUPS = 30, 20, 4, 50
_STEPS = 9
_WIDEST = 1 << 15


def slowed_bundle(bundle: Bundle, artifact: str, folder: Path, slowdown: float) -> tuple[Path, float]:
    """Copies a bundle and gives one of its ONNX decoders so much to do in addition that it takes longer.

    The work is two matrix products with zeros whose result is added to the latent. Their size is found by timing, in
    turns with the decoder as it is.

    Args:
        bundle: To copy.
        artifact: File name of an ONNX decoder.
        folder: To make.
        slowdown: 0.1 for ten percent.

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
    """Returns the decoder of `z + z A B` in place of z, where A is `[D, width]`, B `[width, D]` and both are zeros."""
    model = load_model(path.read_bytes())
    graph = model.graph
    latent = graph.input[0].name
    latent_dim = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    for node in graph.node:
        node.input[:] = ["extra_latent" if name == latent else name for name in node.input]
    shapes = {"extra_a": (latent_dim, width), "extra_b": (width, latent_dim)}
    for name, shape in shapes.items():
        graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    graph.node.insert(0, helper.make_node("Gemm", [latent, "extra_a"], ["extra_wide"]))
    graph.node.insert(1, helper.make_node("Gemm", ["extra_wide", "extra_b", latent], ["extra_latent"]))
    return bytes(model.SerializeToString())


def _ratio(bundle: Bundle, artifact: str, changed: Path) -> float:
    """Returns how many times longer the changed file takes, the median over rounds in turns."""
    inputs = bundle.goldens(bundle.manifest.artifact(artifact).component).inputs
    feed = {name: values[:1] for name, values in inputs.items()}
    with (
        open_runner(bundle.path / artifact, Format.ONNX) as before,
        open_runner(changed, Format.ONNX) as after,
    ):
        calls: list[Callable[[], object]] = [before.prepare(feed), after.prepare(feed)]
        for call in calls:
            time_values(call, loops=1, count=_WARMUPS)
        rounds = [
            [float(np.median(time_values(call, loops=_LOOPS, count=_VALUES))) for call in calls] for _ in range(_ROUNDS)
        ]
    return float(np.median([after_s / before_s for before_s, after_s in rounds]))
