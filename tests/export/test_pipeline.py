import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import ExportError, ManifestError, OutputExistsError, RuledOutError
from pocketvae.export import ExportConfig, Rewrite, RewriteChoice, export_run, pipeline, plan_artifacts
from pocketvae.export.rewrites.names import NONE
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.numerics.noise import normal_noise
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format, Precision

pytestmark = pytest.mark.slow
FLOAT_DECODER = ExportConfig(artifacts=plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.FLOAT32]))


def hashes(bundle):
    return {
        path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(bundle.rglob("*"))
        if path.is_file()
    }


def test_a_bundle_has_every_artifact_and_nothing_it_does_not_record(tiny_bundle):
    manifest = open_bundle(tiny_bundle).manifest
    assert len(manifest.artifacts) == 34
    assert manifest.failures == ()
    recorded = {file.path for file in manifest.files()} | {"manifest.json"}
    assert set(hashes(tiny_bundle)) == recorded


def test_goldens_are_stratified_and_not_the_calibration_samples(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    goldens = bundle.goldens(Component.DECODER)
    # Half of the run's 150 test images; the others are held out for the threshold of a scorer.
    assert [(s.name, s.count) for s in goldens.strata] == [("posterior", 75), ("prior", 128), ("tails", 64)]
    assert goldens.count >= 256
    assert [s.name for s in bundle.manifest.calibration.latents] == ["posterior", "prior", "tails"]


def test_goldens_are_what_the_original_model_says(tiny_bundle):
    from pocketvae.keras.io import load_model

    bundle = open_bundle(tiny_bundle)
    goldens = bundle.goldens(Component.DECODER)
    logits = load_model(tiny_bundle / "original" / "decoder.keras")(goldens.inputs["z"]).numpy()
    np.testing.assert_allclose(goldens.outputs["image"], 1 / (1 + np.exp(-logits)), atol=1e-6)


def without_times(bundle):
    """The manifest without what depends on how long something took."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for artifact in manifest["artifacts"]:
        if artifact["search"]:
            del artifact["search"]["front"], artifact["search"]["chosen"]["latency_s"]
    del manifest["documents"]
    return manifest


def test_the_same_run_gives_byte_identical_files_and_records(tiny_run, tiny_bundle, tmp_path):
    parts = [Component.ENCODER, Component.DECODER, Component.GENERATOR]
    artifacts = plan_artifacts(parts, None, [Precision.FLOAT32, Precision.INT8, Precision.INT16X8])
    export_run(tiny_run, tmp_path / "again", ExportConfig(artifacts=artifacts, rewrites=NONE))
    again, first = hashes(tmp_path / "again"), hashes(tiny_bundle)
    # These also say what else is in a bundle.
    for name in ("manifest.json", "MODEL_CARD.md", "EMBED.md"):
        assert again.pop(name)
    assert {spec.filename for spec in artifacts} <= again.keys()
    assert again == {name: first.get(name) for name in again}
    one, other = without_times(tmp_path / "again"), without_times(tiny_bundle)
    for key, count in (("artifacts", len(artifacts)), ("goldens", len(parts))):
        assert len(one[key]) == count
        other[key] = [item for item in other[key] if item in one[key]]
    assert one == other


def test_rewrites_are_recorded_and_a_generator_takes_over_those_of_its_decoder(tiny_run, tmp_path):
    artifacts = plan_artifacts([Component.DECODER, Component.GENERATOR], [Format.TFLITE], [Precision.FLOAT32])
    config = ExportConfig(artifacts=artifacts, rewrites=RewriteChoice(wanted=(Rewrite.NARROW_CONVOLUTION,)))
    manifest = export_run(tiny_run, tmp_path / "bundle", config).manifest
    decoder, generator = manifest.artifacts
    (record,) = decoder.rewrites
    assert (record.name, record.places, record.kept, record.reason) == (
        "narrow_convolution",
        1,
        True,
        "requested by name",
    )
    assert record.max_difference <= decoder.tolerances[0].limit
    assert record.before_latency_s > 0
    assert generator.rewrites == decoder.rewrites
    assert all(any("narrow_convolution in 1 place" in note for note in item.notes) for item in manifest.artifacts)
    assert verify_bundle(tmp_path / "bundle").passed


def test_interfaces_are_those_of_the_precision(tiny_bundle):
    for artifact in open_bundle(tiny_bundle).manifest.artifacts:
        dtypes = {tensor.dtype for tensor in (*artifact.inputs, *artifact.outputs)}
        seeds = {"int32"} if artifact.component.is_composed else set()
        assert dtypes == ({"int8"} if artifact.precision is Precision.INT8_IO else {"float32"} | seeds)
        assert all(tensor.shape[0] == 1 for tensor in (*artifact.inputs, *artifact.outputs))
        names = [[tensor.name for tensor in tensors] for tensors in (artifact.inputs, artifact.outputs)]
        assert (
            names
            == {
                Component.ENCODER: [["x"], ["z_mean", "z_log_var"]],
                Component.DECODER: [["z"], ["image"]],
                Component.SAMPLER: [["seed", "index"], ["z"]],
                Component.GENERATOR: [["seed", "index"], ["image"]],
            }[artifact.component]
        )


def operators(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), experimental_preserve_all_tensors=True)
    return interpreter, interpreter._get_ops_details()


def test_integer_only_files_hold_no_float_operator(tiny_bundle):
    for component in (Component.ENCODER, Component.DECODER):
        interpreter, _ = operators(tiny_bundle / f"{component}.int8_io.tflite")
        kinds = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
        assert kinds <= {"int8", "int32"}


def test_the_int8_decoder_s_sigmoid_is_in_float(tiny_bundle):
    interpreter, details = operators(tiny_bundle / "decoder.int8.tflite")
    kinds = {tensor["index"]: np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    sigmoids = [operator for operator in details if operator["op_name"] == "LOGISTIC"]
    assert [kinds[operator["inputs"][0]] for operator in sigmoids] == ["float32"]


def test_no_artifact_has_an_operator_outside_the_standard_or_a_random_one(tiny_bundle):
    for artifact in open_bundle(tiny_bundle).manifest.artifacts:
        path = tiny_bundle / artifact.name
        if artifact.format is Format.ONNX:
            model = onnx.load(path)
            names = {(node.domain, node.op_type) for node in model.graph.node}
            assert {domain for domain, _ in names} <= {"", "ai.onnx"}
            assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx"}
            kinds = {kind for _, kind in names}
        else:
            kinds = {operator["op_name"] for operator in operators(path)[1]}
        assert not any("RANDOM" in kind.upper() or "FLEX" in kind.upper() or kind == "CUSTOM" for kind in kinds)


def test_onnx_files_say_their_padding_in_pixels(tiny_bundle):
    # Runtimes read auto_pad differently.
    attributes = [
        {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        for path in tiny_bundle.glob("*.onnx")
        for node in onnx.load(path).graph.node
        if node.op_type in ("Conv", "ConvTranspose", "QLinearConv", "MaxPool", "AveragePool")
    ]
    assert any("pads" in found for found in attributes)
    assert {found.get("auto_pad", b"NOTSET") for found in attributes} <= {b"NOTSET", b"VALID"}


def test_onnx_quantized_weights_are_unsigned(tiny_bundle):
    # Signed ones saturate on x86 without VNNI: seen as an error of 211/255 on one CPU and none on another.
    for name in ("decoder.int8.onnx", "decoder.dynamic_int8.onnx"):
        model = onnx.load(tiny_bundle / name)
        kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
        assert onnx.TensorProto.UINT8 in kinds
        assert onnx.TensorProto.INT8 not in kinds


def test_smaller_precisions_are_smaller(tiny_bundle):
    size = {artifact.name: artifact.file.size_bytes for artifact in open_bundle(tiny_bundle).manifest.artifacts}
    for format in Format:
        # Half of the weights' bytes, and the tables around them, which weigh more in so small a network.
        assert size[f"decoder.float16.{format}"] < 0.75 * size[f"decoder.float32.{format}"]


def test_a_crashing_converter_costs_its_artifacts_and_no_more(tiny_run, tmp_path, monkeypatch):
    real = WorkerProcess.convert

    def crash_on_int8(self, job, time_limit_s):
        if job.artifact.precision is Precision.FLOAT16:
            process = self.process._process or self.process._start()
            process.kill()
        return real(self, job, time_limit_s)

    monkeypatch.setattr(WorkerProcess, "convert", crash_on_int8)
    precisions = [Precision.FLOAT16, Precision.FLOAT32]
    artifacts = plan_artifacts([Component.DECODER], [Format.TFLITE], precisions)
    config = ExportConfig(artifacts=artifacts, rewrites=NONE)
    result = export_run(tiny_run, tmp_path / "bundle", config)
    assert [artifact.name for artifact in result.manifest.artifacts] == ["decoder.float32.tflite"]
    (failure,) = result.manifest.failures
    assert failure.artifact == "decoder.float16.tflite"
    assert "ended by signal 9" in failure.reason
    assert open_bundle(tmp_path / "bundle").manifest.failures == (failure,)


@pytest.mark.parametrize("skip", [False, True])
def test_what_the_model_rules_out_is_a_failure_only_where_it_was_asked_for(tiny_run, tmp_path, monkeypatch, skip):
    real = WorkerProcess.convert

    def rule_out(self, job, time_limit_s):
        if job.artifact.precision is Precision.FLOAT16:
            raise RuledOutError("TFLite has no SQUARE in 16 bits: use int8")
        made = real(self, job, time_limit_s)
        return replace(made, error_ratio=2.31) if job.artifact.precision is Precision.INT16X8 else made

    monkeypatch.setattr(WorkerProcess, "convert", rule_out)
    precisions = [Precision.FLOAT32, Precision.FLOAT16, Precision.INT16X8]
    artifacts = plan_artifacts([Component.DECODER], [Format.ONNX], precisions)
    config = ExportConfig(artifacts=artifacts, skip_ruled_out=skip, rewrites=NONE)
    result = export_run(tiny_run, tmp_path / "bundle", config)
    manifest = open_bundle(tmp_path / "bundle").manifest
    missing = {"decoder.float16.onnx": "TFLite has no SQUARE in 16 bits: use int8"}
    if skip:
        missing["decoder.int16x8.onnx"] = (
            "no layer may stay in float, and its largest error is then 2.3 times its limit; "
            "--precisions int16x8 makes it all the same"
        )
    told = manifest.left_out if skip else manifest.failures
    assert {item.artifact: item.reason for item in told} == missing
    assert len(manifest.failures + manifest.left_out) == len(missing)
    assert result.over_budget == ({} if skip else {"decoder.int16x8.onnx": 2.31})
    assert verify_bundle(open_bundle(tmp_path / "bundle")).passed is skip
    assert ("Left out, because" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()) is skip


def test_an_export_without_any_artifact_is_an_error_and_leaves_nothing(tiny_run, tmp_path):
    config = ExportConfig(artifacts=FLOAT_DECODER.artifacts, time_limit_s=0.01)
    with pytest.raises(ExportError, match="cannot be prepared: .* took longer than 0.01 s"):
        export_run(tiny_run, tmp_path / "bundle", config)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_no_bundle_and_no_process(tiny_run, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(
        pipeline, "WorkerProcess", lambda *given, **named: started.append(WorkerProcess(*given, **named)) or started[-1]
    )

    def interrupt(progress):
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_run(tiny_run, tmp_path / "bundle", FLOAT_DECODER, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert all(worker.process._process is None for worker in started)


def test_a_resumed_export_keeps_the_decisions_of_the_first(tiny_run, tmp_path):
    """Rewrites are kept where they are measured to be faster: measured again, a generator could differ."""
    artifacts = plan_artifacts([Component.DECODER, Component.GENERATOR], [Format.TFLITE], [Precision.FLOAT32])

    def interrupt(progress):
        if progress.detail == "making generator.float32.tflite":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        export_run(tiny_run, tmp_path / "bundle", ExportConfig(artifacts=artifacts), progress=interrupt)
    assert caught.value.__notes__[0].startswith("bundle.unfinished keeps 1 of 2 artifacts")
    kept = tmp_path / "bundle.unfinished" / "work" / "decoder.float32.tflite"
    decoder = kept.read_bytes()
    result = export_run(tiny_run, tmp_path / "bundle", ExportConfig(artifacts=artifacts))
    assert result.resumed.startswith("1 of 2 artifacts are reused")
    assert (tmp_path / "bundle" / kept.name).read_bytes() == decoder
    first, second = result.manifest.artifacts
    assert first.rewrites
    # With the times that were measured.
    assert second.rewrites == first.rewrites
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert verify_bundle(tmp_path / "bundle").passed


def test_a_damaged_run_is_refused(tiny_run, tmp_path):
    copy = shutil.copytree(tiny_run, tmp_path / "run")
    (copy / "decoder.keras").unlink()
    with pytest.raises(ManifestError, match=r"decoder\.keras is missing"):
        export_run(copy, tmp_path / "bundle", FLOAT_DECODER)
    (copy / "decoder.keras").write_bytes(b"PK nothing")
    with pytest.raises(ExportError, match=r"cannot be prepared: .*decoder\.keras cannot be loaded"):
        export_run(copy, tmp_path / "bundle", FLOAT_DECODER)
    with pytest.raises(ManifestError, match="is not a run"):
        export_run(tmp_path, tmp_path / "bundle", FLOAT_DECODER)


def test_a_model_that_does_not_fit_its_run_is_refused(tiny_run, tmp_path):
    copy = shutil.copytree(tiny_run, tmp_path / "run")
    record = json.loads((copy / "run.json").read_text())
    record["vae"]["latents"][0]["shape"] = [5]
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(ExportError, match="must map"):
        export_run(copy, tmp_path / "bundle", FLOAT_DECODER)


def test_an_existing_bundle_is_kept(tiny_run, tiny_bundle):
    with pytest.raises(OutputExistsError, match="--force"):
        export_run(tiny_run, tiny_bundle, FLOAT_DECODER)
    open_bundle(tiny_bundle)


def test_the_model_card_names_every_artifact(tiny_bundle):
    card = (tiny_bundle / "MODEL_CARD.md").read_text()
    for artifact in open_bundle(tiny_bundle).manifest.artifacts:
        assert f"| {artifact.name} | {artifact.file.size_bytes} |" in card


def test_a_lone_artifact_runs(tiny_bundle):
    with open_runner(tiny_bundle / "decoder.float32.onnx", Format.ONNX) as runner:
        image = runner.run({"z": np.zeros((1, 4), np.float32)})["image"]
    assert image.shape == (1, 28, 28, 1)


def run_pairs(path, format, seeds, indices, **options):
    with open_runner(path, format, **options) as runner:
        feeds = [{"seed": seeds[i : i + 1], "index": indices[i : i + 1]} for i in range(len(seeds))]
        results = [runner.run(feed) for feed in feeds]
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("optimizations", Optimizations)
def test_a_sampler_returns_the_reference_s_bits(tiny_bundle, format, optimizations):
    inputs = open_bundle(tiny_bundle).goldens(Component.SAMPLER).inputs
    path = tiny_bundle / f"sampler.float32.{format}"
    found = run_pairs(path, format, inputs["seed"], inputs["index"], optimizations=optimizations)
    assert found["z"].tobytes() == normal_noise(inputs["seed"], inputs["index"], 4).tobytes()


@pytest.mark.parametrize("precision", [precision for precision in Precision if precision is not Precision.INT8_IO])
def test_a_generator_is_its_decoder_behind_the_sampler(tiny_bundle, precision):
    seeds, indices = np.arange(-8, 8, dtype=np.int32), np.full(16, 5, np.int32)
    for format in Format:
        found = run_pairs(tiny_bundle / f"generator.{precision}.{format}", format, seeds, indices)["image"]
        with open_runner(tiny_bundle / f"decoder.{precision}.{format}", format) as decoder:
            latents = normal_noise(seeds, indices, 4)
            expected = np.concatenate([decoder.run({"z": z[None]})["image"] for z in latents])
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_generator_s_goldens_come_from_the_original_decoder(tiny_bundle):
    from pocketvae.keras.io import load_model

    goldens = open_bundle(tiny_bundle).goldens(Component.GENERATOR)
    z = normal_noise(goldens.inputs["seed"], goldens.inputs["index"], 4)
    logits = load_model(tiny_bundle / "original" / "decoder.keras")(z).numpy()
    np.testing.assert_allclose(goldens.outputs["image"], 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert goldens.count >= 256


def test_a_generator_comes_alone_where_it_is_asked_for_alone(tiny_run, tmp_path):
    config = ExportConfig(artifacts=plan_artifacts([Component.GENERATOR], [Format.ONNX], [Precision.FLOAT32]))
    manifest = export_run(tiny_run, tmp_path / "bundle", config).manifest
    assert [artifact.name for artifact in manifest.artifacts] == ["generator.float32.onnx"]
    assert [golden.component for golden in manifest.goldens] == [Component.GENERATOR]
    assert manifest.original == {}
    assert verify_bundle(tmp_path / "bundle").passed
