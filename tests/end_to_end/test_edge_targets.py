"""The real targets, where they are set up (pocketvae targets setup all); one that is not is skipped with the reason."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.matrix import CellState, matrix_bundle
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError, TargetError
from pocketvae.spec import Component, Precision


def usable(name):
    """Returns a target; skips the test where it cannot be used here."""
    target = make_target(name)
    reason = target.unavailable()
    if reason:
        pytest.skip(f"{name}: {reason}")
    return target


def held(matrix):
    """Returns the cells that ran; none of them may have failed."""
    failed = [(cell.artifact, cell.detail) for cell in matrix.result.cells if cell.state is CellState.FAILED]
    assert failed == []
    return [cell for cell in matrix.result.cells if cell.max_abs is not None]


def few(path):
    """Opens a bundle with an encoder or a decoder of each form, the samplers and one generator alone."""
    bundle, encoded = open_bundle(path), (Precision.FLOAT16, Precision.DYNAMIC_INT8, Precision.INT16X8)
    part = {item: Component.ENCODER if item in encoded else Component.DECODER for item in Precision}
    kept = [item for item in bundle.manifest.artifacts if item.component in (Component.SAMPLER, part[item.precision])]
    kept.append(bundle.manifest.artifact("generator.int8.onnx"))
    return replace(bundle, manifest=replace(bundle.manifest, artifacts=tuple(kept)))


@pytest.mark.parametrize(
    "name", ["node", "chromium", "openvino", "tract", pytest.param("arm64", marks=pytest.mark.slow)]
)
def test_a_small_bundle_passes(name, tmp_path, bundles):
    usable(name)
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=(name,))
    assert result.passed, (result.not_run, [check for check in result.checks if not check.passed])
    assert {check.artifact for check in result.checks} == {"decoder.float32.onnx", "encoder.float32.onnx"}


@pytest.mark.parametrize("name", ["node", "chromium", "openvino", "tract"])
def test_a_wrong_artifact_fails_there_too(name, tmp_path, bundles):
    usable(name)
    decoder = bundles.decoder_model(bundles.right_weight() + np.float32(0.1))
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=decoder), targets=(name,))
    failed = {(check.artifact, check.metric) for check in result.checks if not check.passed}
    assert failed == {("decoder.float32.onnx", "max_abs")}


@pytest.mark.parametrize("name", ["node", "chromium", "openvino", "tract"])
def test_another_interface_fails_there_too(name, tmp_path, bundles):
    usable(name)
    decoder = bundles.decoder_model(bundles.right_weight(), output="picture")
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=decoder), targets=(name,))
    (failed,) = [check for check in result.checks if not check.passed]
    assert failed.metric == "interface"
    assert "outputs must be ['image'], got ['picture']" in failed.detail


@pytest.mark.parametrize("name", ["node", "chromium", "openvino", "tract"])
def test_times_are_measured_there(name, tmp_path, bundles):
    target = usable(name)
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    inputs = bundle.goldens(artifact.component).inputs
    with target.open(bundle) as run:
        latency = run.latency(artifact, inputs, count=5)
        if name == "tract":
            with pytest.raises(TargetError, match="tract: tract computes with one thread"):
                run.latency(artifact, inputs, num_threads=2, count=3)
        else:
            assert len(run.latency(artifact, inputs, num_threads=2, count=3).values_s) == 3
    assert len(latency.values_s) == 5
    assert all(value > 0 for value in latency.values_s)
    assert latency.load_s > 0
    assert latency.first_s > 0


@pytest.mark.parametrize("name", [pytest.param("arm64", marks=pytest.mark.slow), "tflm", "chromium:webgpu"])
def test_where_time_means_nothing_none_is_measured(name, tmp_path, bundles):
    assert not make_target(name).measures_time()
    target = usable(name)
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    with target.open(bundle) as run, pytest.raises(TargetError, match="says? nothing"):
        run.latency(artifact, bundle.goldens(artifact.component).inputs)


def test_a_target_that_is_killed_in_the_middle_costs_one_artifact(tmp_path, bundles, monkeypatch):
    usable("node")
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    first, second = bundle.manifest.artifacts
    with make_target("node").open(bundle) as run:
        process = run._client.channel._process
        process.kill()
        process.wait()
        with pytest.raises(TargetError, match="node: its process was ended by signal 9"):
            run.run(first, bundle.goldens(first.component).inputs)
        assert set(run.run(second, bundle.goldens(second.component).inputs)) == {"z_mean", "z_log_var"}


def test_firmware_and_the_linter_take_what_an_npus_compiler_made(tiny_bundle, tmp_path, capsys):
    from pocketvae.cli.main import main

    usable("ethos-u")
    out = tmp_path / "firmware"
    assert main(["embed-c", str(tiny_bundle), "--for", "ethos-u55-128", "--out", str(out), "--quiet"]) == 0
    header = (out / "decoder_int8_io.h").read_text()
    assert "// Compiled for ethos-u55-128, Ethos_U55_High_End_Embedded, Shared_Sram by vela 5.2.0." in header
    path = str(tiny_bundle / "decoder.int8_io.tflite")
    assert main(["inspect", path, "--lint", "--target", "ethos-u85-256", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "ethos_u" in said
    assert "estimated by vela 5.2.0 for ethos-u85-256, Ethos_U85_SYS_DRAM_Mid, Dedicated_Sram_384KB" in said
    assert main(["inspect", path, "--target", "ethos-u85-256"]) == 2
    assert "--target only applies to --lint" in capsys.readouterr().err


def overflowing_decoder(bundles):
    """Returns the decoder of a small bundle, whose values inside are above the largest number in half precision."""
    from onnx import helper, numpy_helper

    model = bundles.decoder_model(1e6 * bundles.right_weight())
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1e-6), "small"))
    model.graph.node[0].output[0] = "large"
    model.graph.node.insert(1, helper.make_node("Mul", ["large", "small"], ["flat"]))
    return model


@pytest.mark.parametrize("name", ["hexagon:v68", "hexagon"])
def test_a_phones_npu_takes_whole_graphs_and_holds_the_limits_of_half_precision(name, tiny_bundle):
    usable(name)
    result = verify_bundle(few(tiny_bundle), targets=(name,))
    failed = {check.artifact for check in result.checks if not check.passed}
    # A sigmoid in integers or half precision rounds small probabilities, which this network's ELBO does not forgive.
    assert not [artifact for artifact in failed if ".float" in artifact]
    ran = {check.artifact for check in result.checks}
    assert {"decoder.float32.onnx", "encoder.float16.onnx"} <= ran
    assert not any(artifact.endswith(".tflite") or "generator" in artifact for artifact in ran)
    assert {item.value for item in result.figures if item.metric == "npu_share"} == {1}
    widened = next(check for check in result.checks if check.artifact == "decoder.float32.onnx" and check.limit)
    assert "roundings of the largest output to half precision" in widened.limit_source


def test_values_that_half_precision_cannot_hold_are_found(tmp_path, bundles):
    usable("hexagon")
    bundle = bundles.make_bundle(tmp_path / "b", decoder=overflowing_decoder(bundles))
    result = verify_bundle(bundle, targets=("host", "hexagon"))
    failed = {(check.artifact, check.target) for check in result.checks if not check.passed}
    assert failed == {("decoder.float32.onnx", "hexagon")}


def test_a_graph_that_an_npu_does_not_take_is_not_run_and_its_operators_are_named(tmp_path, bundles):
    usable("hexagon")
    decoder = bundles.decoder_model(bundles.right_weight(), head="Acosh")
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=decoder), targets=("hexagon",))
    (missed,) = result.not_run
    assert missed.artifact == "decoder.float32.onnx"
    assert "does not take the whole graph: Acosh x1 would run on the CPU" in missed.reason


def test_an_npu_is_estimated_and_its_values_are_checked(tiny_bundle):
    usable("ethos-u")
    result = verify_bundle(tiny_bundle, targets=("ethos-u55-64",))
    ran = {check.artifact for check in result.checks}
    assert "decoder.int8_io.tflite" in ran
    assert not any("float" in name or "dynamic" in name or name.endswith(".onnx") for name in ran)
    assert {item.artifact for item in result.remarks} == ran
    figures = {item.metric: item.value for item in result.figures if item.artifact == "encoder.int8_io.tflite"}
    assert figures["npu_share"] == 1
    assert figures["estimated_cycles"] == pytest.approx(figures["estimated_s"] * 500e6, rel=1e-3)
    text, dearest = [item.text for item in result.remarks if item.artifact == "decoder.int8_io.tflite"]
    assert text.startswith("estimated by vela 5.2.0 for ethos-u55-64, Ethos_U55_High_End_Embedded, Shared_Sram: ")
    assert "DEPTH_TO_SPACE x2 (Unsupported opType)" in text
    shares = [int(share) for share in re.findall(r" (\d+)%", dearest)]
    assert dearest.startswith("estimated cycles by operator: ")
    assert shares == sorted(shares, reverse=True)
    assert 1 <= shares[0] <= sum(shares) <= 101


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("arm64:cortex-a77", "unknown processor 'cortex-a77': did you mean 'cortex-a76'"),
        ("chromium:webgl", "unknown option of chromium 'webgl'"),
        ("node:18", "the target node takes no options"),
        ("ethos-u:ethos-u55-129", "unknown Ethos-U accelerator 'ethos-u55-129': did you mean 'ethos-u55-128'"),
        ("ethos-u56-128", "unknown Ethos-U accelerator 'ethos-u56-128': did you mean"),
        ("ethos-u55-128:Ethos_U55_High_End", "did you mean 'Ethos_U55_High_End_Embedded'"),
        ("ethos-u55-128:Ethos_U65_High_End", "memory mode of ethos-u55-128 'Ethos_U65_High_End'"),
        ("ethos-u55-128:Sram_Only+Shared_Sram", "at most one system configuration and one memory mode"),
        ("hexagon:v57", "unknown Hexagon generation 'v57': did you mean"),
        ("hexagon:75", "unknown Hexagon generation '75': did you mean 'v75'"),
        ("tflm:x", "the target tflm takes no options"),
    ],
)
def test_an_unknown_option_is_refused(name, words):
    with pytest.raises(SpecError, match=words):
        make_target(name)


def test_an_emulator_that_computes_wrongly_is_refused(tmp_path, monkeypatch):
    usable("arm64")
    old = tmp_path / "qemu-aarch64"
    old.write_text("#!/bin/sh\necho 'qemu-aarch64 version 7.2.15 (Debian 1:7.2+dfsg-7)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("POCKETVAE_QEMU", str(old))
    reason = make_target("arm64").unavailable()
    assert reason is not None
    assert "is QEMU 7.2.15, which is known to compute int8 wrongly: 10 or newer is needed" in reason


@pytest.mark.slow
def test_arm_computes_the_same(tiny_bundle):
    usable("arm64")
    cells = held(matrix_bundle(few(tiny_bundle), targets=("arm64",)))
    assert len(cells) == 14
    for cell in cells:
        if ".int8_io." in cell.artifact or cell.artifact.startswith("sampler"):
            assert cell.max_abs == 0, cell
        elif ".int8." in cell.artifact and cell.artifact.endswith("tflite"):
            assert cell.max_abs < 1e-6, cell  # the head is in float, and another processor has another exponential


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["cortex-a53", "max"])
def test_other_processors_compute_the_same_int8(cpu, tiny_bundle):
    target = usable(f"arm64:{cpu}")
    bundle = open_bundle(tiny_bundle)
    host = make_target("host").open(bundle)
    artifact = bundle.manifest.artifact("decoder.int8_io.tflite")
    inputs = bundle.goldens(artifact.component).inputs
    with target.open(bundle) as run:
        assert run.facts()["cpu"] == cpu
        assert np.array_equal(run.run(artifact, inputs)["image"], host.run(artifact, inputs)["image"])


@pytest.mark.slow
def test_the_browser_and_node_make_the_same_latents(tiny_bundle):
    for name in ("chromium", "node"):
        usable(name)
    matrix = matrix_bundle(tiny_bundle, targets=("chromium", "node"))
    cells = held(matrix)
    samplers = [cell for cell in cells if cell.artifact.startswith("sampler")]
    assert len(samplers) == 3
    assert all(cell.state is CellState.EQUAL for cell in samplers)
    assert {row.target for row in matrix.sheet} == {"chromium", "node"}
    assert all(row.max_abs < 1e-5 for row in matrix.sheet)


@pytest.mark.slow
def test_a_microcontrollers_interpreter_computes_the_reference(tiny_bundle):
    target = usable("tflm")
    bundle = open_bundle(tiny_bundle)
    with target.open(bundle) as run:
        for artifact in bundle.manifest.artifacts:
            floats = artifact.precision is Precision.FLOAT32
            small = artifact.precision in (Precision.INT8_IO, Precision.INT16X8)
            if target.declines(artifact) or not (floats or small):
                continue
            run.run(artifact, bundle.goldens(artifact.component).inputs)
            figures = run.figures(artifact)
            assert 1000 < figures["arena_bytes"] < 1_000_000
            assert figures["arena_bytes"] % 16 == 0
            if floats:
                assert figures["reference_max_abs"] == 0


@pytest.mark.slow
def test_the_gpu_computes_the_original_and_is_not_the_cpu(tiny_bundle):
    usable("gpu")
    result = verify_bundle(tiny_bundle, targets=("gpu",))
    assert result.passed, (result.not_run, [check for check in result.checks if not check.passed])
    assert result.not_run == ()
    target, bundle = make_target("gpu"), open_bundle(tiny_bundle)
    with target.open(bundle) as run:
        assert run.facts()["adapter"] != "unknown"
        artifact = bundle.manifest.artifact("decoder.float32.tflite")
        run.run(artifact, bundle.goldens(artifact.component).inputs)
        assert 0 < run.figures(artifact)["cpu_max_abs"] < 1e-5


@pytest.mark.slow
def test_tract_computes_all_but_16_bit_integers(tiny_bundle):
    target = usable("tract")
    result = verify_bundle(tiny_bundle, targets=("tract",))
    assert result.passed, (result.not_run, [check for check in result.checks if not check.passed])
    ran = {check.artifact for check in result.checks}
    assert {item.name for item in open_bundle(tiny_bundle).manifest.artifacts if not target.declines(item)} == ran
    assert {"generator.int8.onnx", "sampler.float32.onnx", "encoder.dynamic_int8.onnx"} <= ran


@pytest.mark.slow
def test_rockchips_simulator_computes_floats_in_half_precision(tiny_bundle):
    target = usable("rknn")
    bundle = open_bundle(tiny_bundle)
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    goldens = bundle.goldens(artifact.component)
    with target.open(bundle) as run:
        image = run.run(artifact, goldens.inputs)["image"]
    assert np.array_equal(image.astype(np.float16).astype(np.float32), image)
    assert 0 < np.abs(image - goldens.outputs["image"]).max() < 0.02


@pytest.mark.slow
def test_openvino_computes_both_formats(tiny_bundle):
    target = usable("openvino")
    result = verify_bundle(tiny_bundle, targets=("openvino",))
    failed = {check.artifact for check in result.checks if not check.passed}
    # Its 8-bit kernels round in other ways than onnxruntime's, which may cost more than a budget leaves.
    assert {name for name in failed if ".int8." not in name} == set()
    assert result.not_run == ()
    ran = {check.artifact for check in result.checks}
    assert {item.name for item in open_bundle(tiny_bundle).manifest.artifacts if not target.declines(item)} == ran
    assert {"generator.float32.onnx", "decoder.int16x8.onnx", "decoder.int8_io.tflite"} <= ran


def test_a_microcontrollers_interpreter_says_what_it_is_not_for(tmp_path, bundles):
    target = make_target("tflm")
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    assert [target.declines(artifact) for artifact in bundle.manifest.artifacts] == [
        "TensorFlow Lite Micro only supports TFLite files"
    ] * 2


@pytest.fixture(scope="session")
def transposed_decoder(tmp_path_factory):
    """Somebody's decoder with the layer that LiteRT's WebGPU delegate computes wrongly."""
    from pocketvae.keras.io import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    z = keras.Input((8,), name="z")
    x = layers.Reshape((7, 7, 8))(layers.Dense(7 * 7 * 8, activation="relu")(z))
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(x)
    path = tmp_path_factory.mktemp("transposed") / "decoder.keras"
    keras.Model(z, x).save(path)
    return path


def export_float32(decoder, out, rewrites):
    from pocketvae.export import ExportConfig, ExternalModels, export_external_models, parse_rewrites, plan_artifacts
    from pocketvae.spec import Format

    plan = plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.FLOAT32])
    config = ExportConfig(artifacts=plan, rewrites=parse_rewrites(rewrites))
    export_external_models(ExternalModels(decoder=decoder), out, config)
    return out


@pytest.mark.slow
def test_the_fault_of_the_webgpu_delegate_is_found_and_named(transposed_decoder, tmp_path):
    for name in ("chromium:webgpu", "gpu"):
        usable(name)
    bundle = export_float32(transposed_decoder, tmp_path / "stock", "none")
    result = verify_bundle(bundle, targets=("chromium:webgpu", "chromium", "gpu"))
    failed = [check for check in result.checks if not check.passed]
    assert [(check.target, check.metric) for check in failed] == [("chromium:webgpu", "max_abs"), ("gpu", "max_abs")]
    assert "WebGPU delegate" in failed[0].detail
    assert "LiteRT's GPU accelerator" in failed[1].detail
    assert result.not_run == ()


@pytest.mark.slow
def test_the_rewritten_graph_is_right_on_webgpu(transposed_decoder, tmp_path):
    usable("chromium:webgpu")
    usable("gpu")
    bundle = export_float32(transposed_decoder, tmp_path / "rewritten", "transposed_convolution")
    (artifact,) = open_bundle(bundle).manifest.artifacts
    assert any("transposed_convolution" in note for note in artifact.notes), artifact.notes
    assert verify_bundle(bundle, targets=("chromium:webgpu", "gpu")).passed


@pytest.mark.slow
def test_our_own_decoder_is_right_on_webgpu(tiny_bundle):
    target = usable("chromium:webgpu")
    bundle = open_bundle(tiny_bundle)
    host = make_target("host").open(bundle)
    with target.open(bundle) as run:
        for name in ("decoder.float32.tflite", "decoder.float32.onnx"):
            artifact = bundle.manifest.artifact(name)
            inputs = {key: values[:40] for key, values in bundle.goldens(artifact.component).inputs.items()}
            expected = host.run(artifact, inputs)["image"]
            for num_threads in (1, 2):  # LiteRT.js has no build with both WebGPU and threads
                found = run.run(artifact, inputs, num_threads=num_threads)["image"]
                assert np.abs(found - expected).max() < 1e-5
        assert run.figures(bundle.manifest.artifact("decoder.float32.tflite")) == {"fully_accelerated": 1}
