"""Pixels and batch sizes around every artifact of a real bundle."""

import hashlib
from dataclasses import replace

import numpy as np
import onnx
import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError
from pocketvae.export import ExportConfig, RewriteChoice, export_run, plan_artifacts
from pocketvae.export.convert.interfaces import check_images
from pocketvae.formats.onnx.model import array, constants, load_model
from pocketvae.formats.tflite.model import constant, is_constant, read_model
from pocketvae.numerics.pixels import from_pixels, to_pixels
from pocketvae.runtimes.base import Optimizations, quantize
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import ArtifactSpec, Component, Format, ImageDtype, Precision
from pocketvae.vae_spec import VaeSpec, vector_latent

BATCHES = (1, 3, 8)
# Pixels stand around a finished file: float, integer, and integer for one batch size alone.
WITH_PIXELS = plan_artifacts(
    [Component.ENCODER, Component.DECODER, Component.GENERATOR],
    precisions=[Precision.FLOAT32, Precision.INT8, Precision.DYNAMIC_INT8],
    image_dtypes=[ImageDtype.UINT8],
)
SPECS = (*plan_artifacts(), *WITH_PIXELS)
ONE_BATCH = [spec for spec in SPECS if (spec.format, spec.precision) == (Format.ONNX, Precision.DYNAMIC_INT8)]
names = [spec.filename for spec in SPECS]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, tiny_run):
    """Every artifact with three batch sizes, and some with pixels too."""
    out = tmp_path_factory.mktemp("shown") / "bundle"
    # Which rewrites are kept is a matter of timings, and more sets of calibration samples do not change a file.
    config = ExportConfig(artifacts=SPECS, batches=BATCHES, rewrites=RewriteChoice(), calibration_seeds=1)
    export_run(tiny_run, out, config)
    return open_bundle(out)


def samples(bundle, spec, count=11):
    inputs = bundle.goldens(spec.component).inputs
    return {name: values[:count] for name, values in inputs.items()}


@pytest.mark.slow
def test_the_bundle_passes_its_own_verification(bundle):
    from pocketvae.benchmarks import verify_bundle

    result = verify_bundle(bundle.path)
    assert [(c.artifact, c.batch, c.detail) for c in result.checks if not c.passed] == []
    assert {(c.artifact, c.batch) for c in result.checks} == {
        (artifact.name, batch) for artifact in bundle.manifest.artifacts for batch in artifact.batches
    }


@pytest.mark.slow
@pytest.mark.parametrize("optimizations", Optimizations)
@pytest.mark.parametrize("spec", SPECS, ids=names)
def test_a_batch_is_its_single_calls(bundle, spec, optimizations):
    artifact = bundle.manifest.artifact(spec.filename)
    path, inputs = bundle.artifact_path(artifact), samples(bundle, spec)
    assert artifact.batches == ((1,) if spec in ONE_BATCH else BATCHES)
    with open_runner(path, spec.format, optimizations=optimizations) as runner:
        expected = runner.run_samples(inputs)
    for batch in artifact.batches[1:]:
        with open_runner(path, spec.format, optimizations=optimizations, batch=batch) as runner:
            found = runner.run_samples(inputs)
        for name, values in expected.items():
            difference = np.abs(found[name].astype(np.float64) - values)
            # Integers must be equal; in floats another order of summation is all that may differ. onnxruntime sums in
            # floats what it rounds to 16 bits, so that another order may give the next step: of an output, or of a
            # layer before it, which few outputs tell by more than two steps of their own.
            is_rounded = (spec.format, spec.precision) == (Format.ONNX, Precision.INT16X8)
            step = np.ptp(values) / 65535 if is_rounded else 0.0
            few = 0.005 if is_rounded else 0.0
            limit = 2e-6 + 2 * step if values.dtype == np.float32 else 0
            assert (difference > limit).mean() <= few
            assert difference.max() <= limit + 30 * step


@pytest.mark.slow
@pytest.mark.parametrize("spec", WITH_PIXELS, ids=lambda spec: spec.filename)
def test_pixels_are_the_numbers_of_the_same_artifact_without_them(bundle, spec):
    plain = replace(spec, image_dtype=ImageDtype.FLOAT32)
    inputs = samples(bundle, spec, 64)
    with (
        open_runner(bundle.path / spec.filename, spec.format) as pixels,
        open_runner(bundle.path / plain.filename, spec.format) as numbers,
    ):
        image = pixels.inputs.get("x") or pixels.outputs["image"]
        assert (image.dtype, image.quantization, image.shape) == ("uint8", None, (1, 28, 28, 1))
        expected, found = numbers.run_samples(inputs), pixels.run_samples(inputs)
        if spec.component is Component.ENCODER:
            raw = to_pixels(inputs["x"][:1])
            assert np.array_equal(pixels.run({"x": raw})["z_mean"], numbers.run({"x": from_pixels(raw)})["z_mean"])
        else:
            raw = pixels.run({name: quantize(values[:1], pixels.inputs[name]) for name, values in inputs.items()})
            assert raw["image"].dtype == np.uint8
    for name, values in expected.items():
        if name == "image":
            # Half a step is rounded up; a number that lies on it may be one unit of float32 off.
            assert np.abs(found[name] - values).max() <= 0.5 / 255 + 1e-6
            assert np.mean(to_pixels(values) != to_pixels(found[name])) < 1e-3
        else:
            assert np.array_equal(found[name], values)


def large_constants(path, format):
    """Returns what a file stores in a kilobyte or more each, as often as it does: weights and tables."""
    content = path.read_bytes()
    if format is Format.ONNX:
        stored = [array(tensor) for tensor in constants(load_model(content).graph).values()]
    else:
        model = read_model(content)
        buffers = {tensor.buffer: tensor for graph in model.subgraphs for tensor in graph.tensors}
        stored = [constant(model, tensor) for tensor in buffers.values() if is_constant(model, tensor)]
    return sorted(hashlib.sha256(values).hexdigest() for values in stored if values.nbytes >= 1000)


@pytest.mark.slow
def test_batch_sizes_and_pixels_cost_few_bytes(bundle, tiny_bundle):
    single = {artifact.name: artifact.file.size_bytes for artifact in open_bundle(tiny_bundle).manifest.artifacts}
    for artifact in bundle.manifest.artifacts:
        plain = replace(artifact.spec, image_dtype=ImageDtype.FLOAT32).filename
        weights = large_constants(bundle.artifact_path(artifact), artifact.format)
        assert weights or artifact.component is Component.SAMPLER
        assert weights == large_constants(tiny_bundle / plain, artifact.format), artifact.name
        # The rest is graphs, which in networks as tiny as these weigh as much as the weights.
        growth = artifact.file.size_bytes - single[plain]
        assert growth < (100_000 if artifact.component.is_composed else 20_000), artifact.name


@pytest.mark.slow
def test_names_are_stable(bundle):
    from ai_edge_litert.interpreter import Interpreter

    for artifact in bundle.manifest.artifacts:
        path = bundle.artifact_path(artifact)
        inputs, outputs = [{tensor.name for tensor in tensors} for tensors in (artifact.inputs, artifact.outputs)]
        if artifact.format is Format.ONNX:
            graph = onnx.load(path).graph
            assert ({value.name for value in graph.input}, {value.name for value in graph.output}) == (inputs, outputs)
            first = graph.input[0].type.tensor_type.shape.dim[0]
            assert first.dim_param == ("batch" if len(artifact.batches) > 1 else "")
            continue
        signatures = Interpreter(model_path=str(path)).get_signature_list()
        assert list(signatures) == ["serving_default", "batch_3", "batch_8"]
        for signature in signatures.values():
            assert (set(signature["inputs"]), set(signature["outputs"])) == (inputs, outputs)


@pytest.mark.slow
def test_what_is_special_is_noted(bundle):
    def notes(name):
        return "; ".join(bundle.manifest.artifact(name).notes)

    assert "batch sizes 1, 3, 8 share the weights, one signature each: +" in notes("decoder.int8.tflite")
    assert "dimension 'batch'" in notes("decoder.float32.onnx")
    assert "images are pixels, 0 to 255" in notes("generator.int8.uint8.onnx")
    assert "only batch size 1: ONNX determines the range" in notes("decoder.dynamic_int8.onnx")


@pytest.mark.slow
@pytest.mark.usefixtures("few_values")
def test_every_batch_size_is_timed(bundle):
    from pocketvae.benchmarks import BenchConfig, bench_bundle

    result = bench_bundle(
        bundle.path,
        BenchConfig(
            artifacts=(
                "decoder.int8.uint8.tflite",
                "decoder.dynamic_int8.onnx",
            )
        ),
    )
    rows = [(row.artifact, row.batch) for row in result.results if not row.is_original]
    assert rows == [("decoder.int8.uint8.tflite", batch) for batch in BATCHES] + [("decoder.dynamic_int8.onnx", 1)]
    assert all(row.speedup_vs_original is not None for row in result.results if not row.is_original)


def test_pixels_need_a_range_that_holds():
    spec = ArtifactSpec(
        component=Component.DECODER, precision=Precision.INT8, format=Format.ONNX, image_dtype=ImageDtype.UINT8
    )
    vae = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(2), data_range=(-2.0, 3.5), range_is_strict=False)
    message = "decoder.int8.uint8.onnx needs images of a known range, .* may exceed -2 to 3.5: .* --decoder-output"
    with pytest.raises(SpecError, match=message):
        check_images((spec,), vae)
    check_images((spec,), replace(vae, range_is_strict=True))
    check_images((replace(spec, image_dtype=ImageDtype.FLOAT32),), vae)
