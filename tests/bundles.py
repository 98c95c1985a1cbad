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
    weight: np.ndarray,
    *,
    head: str = "Sigmoid",
    output: str = "image",
    batch: int | str = 1,
    shape: tuple[int, ...] = (SIDE, SIDE, 1),
) -> onnx.ModelProto:
    """z -> MatMul -> head -> image."""
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["flat"]),
        helper.make_node(head, ["flat"], ["p"]),
        helper.make_node("Reshape", ["p", "shape"], [output]),
    ]
    constant = numpy_helper.from_array(np.array([-1, *shape]), "shape")
    weights = [numpy_helper.from_array(weight, "w"), constant]
    return _model(nodes, weights, [("z", (batch, LATENT))], [(output, (batch, *shape))])


def encoder_model(
    mean: np.ndarray, log_var: np.ndarray, shape: tuple[int, ...] = (SIDE, SIDE, 1), *, has_posterior: bool = True
) -> onnx.ModelProto:
    """x -> Flatten -> two MatMuls, or one without a posterior."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "m"], ["z_mean"]),
        helper.make_node("MatMul", ["flat", "v"], ["z_log_var"]),
    ]
    weights = [numpy_helper.from_array(mean, "m"), numpy_helper.from_array(log_var, "v")]
    outputs = [("z_mean", (1, LATENT)), ("z_log_var", (1, LATENT))]
    kept = slice(None) if has_posterior else slice(1)
    return _model(nodes if has_posterior else nodes[:2], weights[kept], [("x", (1, *shape))], outputs[kept])


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
    vae: VaeSpec | None = None,
) -> Path:
    """Writes a bundle; a part that is given replaces the right one, with hashes that fit it.

    Of another `vae`, items have SIDE * SIDE values and the latent LATENT; conditions are taken and change nothing.
    """
    vae = vae or VaeSpec(data_shape=(SIDE, SIDE, 1), latents=vector_latent(LATENT))
    shape, output, found = vae.data_shape, vae.output, vae.output_names(Component.ENCODER)
    folder.mkdir()
    (folder / "golden").mkdir()
    weights = _weights()
    rng = np.random.default_rng(1)
    z = rng.normal(size=(COUNT, LATENT)).astype(np.float32)
    x = rng.random((COUNT, *shape)).astype(np.float32)
    images = 1 / (1 + np.exp(-(z @ weights["decoder"]))).reshape(COUNT, *shape)
    flat = x.reshape(COUNT, -1)
    arrays = {
        "z": z,
        output: images.astype(np.float32) if goldens is None else goldens,
        "x": x,
        "z_mean": flat @ weights["mean"],
        "z_log_var": flat @ weights["log_var"],
    }
    for name, array in arrays.items():
        if name == "z_log_var" and not vae.has_posterior:
            continue
        np.save(folder / "golden" / f"{name}.npy", array)
    models = {
        Component.DECODER: decoder or decoder_model(weights["decoder"], output=output, shape=shape),
        Component.ENCODER: encoder_model(weights["mean"], weights["log_var"], shape, has_posterior=vae.has_posterior),
    }
    for component, model in models.items():
        for spec in vae.inputs(component)[1:]:
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
            model.graph.input.append(helper.make_tensor_value_info(spec.name, kind, spec.shape))
        onnx.save(model, folder / f"{component}.float32.onnx")
    if tolerances is None:
        tolerances = (Tolerance(output=output, metric="max_abs", limit=1e-5, source="test"),)
    posterior = (Tolerance(output="posterior", metric="kl_mean", limit=1e-6, source="test"),)
    if not vae.has_posterior:
        posterior = (Tolerance(output="z_mean", metric="max_abs", limit=1e-5, source="test"),)
    manifest = Manifest(
        name="tiny",
        vae=vae,
        artifacts=(
            _record(folder, vae, Component.DECODER, tolerances),
            _record(folder, vae, Component.ENCODER, posterior),
        ),
        failures=failures,
        goldens=(
            _golden(folder, Component.DECODER, ("z",), (output,)),
            _golden(folder, Component.ENCODER, ("x",), found),
        ),
        calibration=CalibrationRecord(seed=0, latents=(), image_count=0, sha256=""),
        original={},
        training={"test_negative_elbo_nats": 99.5},
        provenance={"data": "<made> & up"},
    )
    (folder / "manifest.json").write_text(encode(manifest))
    return folder


def _record(folder, vae, component, tolerances) -> ArtifactRecord:
    shape = (1, *vae.data_shape) if component is Component.DECODER else (1, LATENT)
    outputs = tuple(TensorSpec(name=name, dtype="float32", shape=shape) for name in vae.output_names(component))
    return ArtifactRecord(
        component=component,
        precision=Precision.FLOAT32,
        format=Format.ONNX,
        file=_file(folder, f"{component}.float32.onnx"),
        inputs=vae.inputs(component),
        outputs=outputs,
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
