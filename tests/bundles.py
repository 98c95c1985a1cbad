"""A tiny real bundle made without TensorFlow: ONNX networks whose goldens numpy computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pocketvae.bundle.manifest import (
    ArtifactRecord,
    CalibrationRecord,
    FailureRecord,
    FileRecord,
    GoldenRecord,
    Manifest,
    Stratum,
)
from pocketvae.documents import encode
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Component, Format, Precision, TensorSpec
from pocketvae.system.files import sha256_file
from pocketvae.vae_spec import VaeSpec, vector_latent

LATENT, SIDE, COUNT = 3, 6, 20


def _weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = SIDE * SIDE
    return {
        "decoder": rng.normal(size=(LATENT, pixels)).astype(np.float32),
        "mean": rng.normal(size=(pixels, LATENT)).astype(np.float32) / pixels,
        "log_var": rng.normal(size=(pixels, LATENT)).astype(np.float32) / pixels,
    }


def decoder_model(
    weight: np.ndarray, *, head: str = "Sigmoid", output: str = "image", batch: int | str = 1
) -> onnx.ModelProto:
    """z -> MatMul -> head -> image."""
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["flat"]),
        helper.make_node(head, ["flat"], ["p"]),
        helper.make_node("Reshape", ["p", "shape"], [output]),
    ]
    shape = numpy_helper.from_array(np.array([-1, SIDE, SIDE, 1]), "shape")
    return _model(
        nodes,
        [numpy_helper.from_array(weight, "w"), shape],
        [("z", (batch, LATENT))],
        [(output, (batch, SIDE, SIDE, 1))],
    )


def encoder_model(mean: np.ndarray, log_var: np.ndarray) -> onnx.ModelProto:
    """x -> Flatten -> two MatMuls."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "m"], ["z_mean"]),
        helper.make_node("MatMul", ["flat", "v"], ["z_log_var"]),
    ]
    weights = [numpy_helper.from_array(mean, "m"), numpy_helper.from_array(log_var, "v")]
    outputs = [("z_mean", (1, LATENT)), ("z_log_var", (1, LATENT))]
    return _model(nodes, weights, [("x", (1, SIDE, SIDE, 1))], outputs)


def _model(nodes, weights, inputs, outputs) -> onnx.ModelProto:
    def values(pairs):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in pairs]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs), weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def make_bundle(
    folder: Path,
    *,
    decoder: onnx.ModelProto | None = None,
    tolerances: tuple[Tolerance, ...] | None = None,
    failures: tuple[FailureRecord, ...] = (),
    goldens: np.ndarray | None = None,
) -> Path:
    """Writes a bundle; a part that is given replaces the right one, with hashes that fit it."""
    folder.mkdir()
    (folder / "golden").mkdir()
    weights = _weights()
    rng = np.random.default_rng(1)
    z = rng.normal(size=(COUNT, LATENT)).astype(np.float32)
    x = rng.random((COUNT, SIDE, SIDE, 1)).astype(np.float32)
    images = 1 / (1 + np.exp(-(z @ weights["decoder"]))).reshape(COUNT, SIDE, SIDE, 1)
    flat = x.reshape(COUNT, -1)
    arrays = {
        "z": z,
        "image": images.astype(np.float32) if goldens is None else goldens,
        "x": x,
        "z_mean": flat @ weights["mean"],
        "z_log_var": flat @ weights["log_var"],
    }
    for name, array in arrays.items():
        np.save(folder / "golden" / f"{name}.npy", array)
    onnx.save(decoder or decoder_model(weights["decoder"]), folder / "decoder.float32.onnx")
    onnx.save(encoder_model(weights["mean"], weights["log_var"]), folder / "encoder.float32.onnx")
    if tolerances is None:
        tolerances = (Tolerance(output="image", metric="max_abs", limit=1e-5, source="test"),)
    posterior = (Tolerance(output="posterior", metric="kl_mean", limit=1e-6, source="test"),)
    manifest = Manifest(
        name="tiny",
        vae=VaeSpec(data_shape=(SIDE, SIDE, 1), latents=vector_latent(LATENT)),
        artifacts=(
            _record(folder, Component.DECODER, tolerances, ("z",), ("image",)),
            _record(folder, Component.ENCODER, posterior, ("x",), ("z_mean", "z_log_var")),
        ),
        failures=failures,
        goldens=(
            _golden(folder, Component.DECODER, ("z",), ("image",)),
            _golden(folder, Component.ENCODER, ("x",), ("z_mean", "z_log_var")),
        ),
        calibration=CalibrationRecord(seed=0, latents=(), image_count=0, sha256=""),
        original={},
        training={"test_negative_elbo_nats": 99.5},
        provenance={"data": "<made> & up"},
    )
    (folder / "manifest.json").write_text(encode(manifest))
    return folder


_SHAPES = {"z": (1, LATENT), "x": (1, SIDE, SIDE, 1), "image": (1, SIDE, SIDE, 1)}


def _tensors(names):
    return tuple(TensorSpec(name=name, dtype="float32", shape=_SHAPES.get(name, (1, LATENT))) for name in names)


def _record(folder, component, tolerances, inputs, outputs) -> ArtifactRecord:
    return ArtifactRecord(
        component=component,
        precision=Precision.FLOAT32,
        format=Format.ONNX,
        file=_file(folder, f"{component}.float32.onnx"),
        inputs=_tensors(inputs),
        outputs=_tensors(outputs),
        tolerances=tolerances,
    )


def _golden(folder, component, inputs, outputs) -> GoldenRecord:
    def files(names):
        return {name: _file(folder, f"golden/{name}.npy") for name in names}

    strata = (Stratum(name="prior", start=0, count=COUNT),)
    return GoldenRecord(component=component, inputs=files(inputs), outputs=files(outputs), strata=strata)


def _file(folder, path) -> FileRecord:
    file = folder / path
    return FileRecord(path=path, sha256=sha256_file(file), size_bytes=file.stat().st_size)


def right_weight() -> np.ndarray:
    """The decoder's true weight, `[LATENT, SIDE * SIDE]`."""
    return _weights()["decoder"]
