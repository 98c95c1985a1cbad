"""The instrumented test for Android: what lies in its folder, and that its code compiles and computes what it must."""

import argparse
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.manifest import FileRecord
from pocketvae.cli.main import main
from pocketvae.cli.serving import _write_android_test
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import OutputExistsError, SpecError
from pocketvae.export.guide.android_test import android_cases, write_android_test
from pocketvae.numerics.metrics import measure
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.reporting.templates import render
from pocketvae.spec import Component, Format, Precision, Quantization, TensorSpec

CODE, ASSETS = "androidTest/java/pocketvae/parity", "androidTest/assets/pocketvae"


@pytest.fixture
def bundle(tmp_path, bundles):
    return open_bundle(bundles.make_bundle(tmp_path / "b"))


def with_artifacts(bundle, *artifacts):
    return replace(bundle, manifest=replace(bundle.manifest, artifacts=artifacts))


def integer_decoder(bundle):
    """A record of a TFLite decoder with integers on both sides; its file is another one."""
    plain = bundle.manifest.artifact("decoder.float32.onnx")
    scale = Quantization(scale=0.03125, zero_point=-3)
    z, image = plain.inputs[0], plain.outputs[0]
    content = b"TFL3"
    (bundle.path / "decoder.int8_io.tflite").write_bytes(content)
    return replace(
        plain,
        format=Format.TFLITE,
        precision=Precision.INT8_IO,
        file=FileRecord.of("decoder.int8_io.tflite", content),
        inputs=(TensorSpec(name=z.name, dtype="int8", shape=z.shape, quantization=scale),),
        outputs=(TensorSpec(name=image.name, dtype="int8", shape=image.shape, quantization=scale),),
    )


def test_files_and_goldens_become_assets(bundle, tmp_path):
    added = integer_decoder(bundle)
    left_out = write_android_test(with_artifacts(bundle, *bundle.manifest.artifacts, added), tmp_path / "test")
    assert left_out == ()
    assets = tmp_path / "test" / ASSETS
    goldens = bundle.goldens(added.component)
    model = bundle.path / "decoder.float32.onnx"
    assert (assets / model.name).read_bytes() == model.read_bytes()
    np.testing.assert_array_equal(
        np.fromfile(assets / "decoder.float32.onnx.z.bin", "<f4"), goldens.inputs["z"].reshape(-1)
    )
    integers = np.fromfile(assets / "decoder.int8_io.tflite.z.bin", "i1")
    np.testing.assert_array_equal(integers, np.round(goldens.inputs["z"].reshape(-1) / 0.03125) - 3)
    np.testing.assert_array_equal(
        np.fromfile(assets / "decoder.image.bin", "<f4"), goldens.outputs["image"].reshape(-1)
    )
    code = (tmp_path / "test" / CODE / "PocketvaeParityTest.kt").read_text("utf-8")
    assert "fun decoder_int8_io_tflite() = check(" in code
    assert '0.03125, 0.09375, "pocketvae/decoder.int8_io.tflite.z.bin"' in code
    assert 'Limit("image", "max_abs", 1e-05)' in code


def test_a_file_with_several_batch_sizes_is_called_by_its_signature_for_one_sample(bundle, tmp_path):
    several = replace(integer_decoder(bundle), batches=(1, 8))
    assert write_android_test(with_artifacts(bundle, several), tmp_path / "test") == ()
    code = (tmp_path / "test" / CODE / "PocketvaeParityTest.kt").read_text("utf-8")
    assert 'private const val SIGNATURE = "serving_default"' in code
    for call in ("createInputBuffer(it.name, ", "createOutputBuffer(it.name, ", "run(given, results, "):
        assert f"model.{call}SIGNATURE)" in code


def thinned(bundle, step):
    """The bundle as if its goldens kept some values of an image, and what the decoder's are then."""
    goldens = bundle.goldens(bundle.manifest.artifacts[0].component)
    kept = goldens.outputs["image"].reshape(goldens.count, -1)[:, ::step]
    changed = replace(goldens, outputs={**goldens.outputs, "image": kept}, steps={"image": step})

    class Thinned(Bundle):
        def goldens(self, component):
            return changed if component is Component.DECODER else super().goldens(component)

    return Thinned(path=bundle.path, manifest=bundle.manifest), kept


def test_goldens_that_keep_some_values_are_compared_with_these(bundle, tmp_path):
    some, kept = thinned(bundle, 3)
    added = integer_decoder(bundle)
    assert write_android_test(with_artifacts(some, added), tmp_path / "test") == ()
    values = np.fromfile(tmp_path / "test" / ASSETS / "decoder.image.bin", "<f4")
    np.testing.assert_array_equal(values, kept.ravel())
    code = (tmp_path / "test" / CODE / "PocketvaeParityTest.kt").read_text("utf-8")
    assert '"pocketvae/decoder.image.bin", 3),' in code


def test_what_the_phone_cannot_check_is_left_out_with_the_reason(bundle, tmp_path):
    plain = bundle.manifest.artifacts[0]
    ssim = Tolerance(output="image", metric="ssim_loss", limit=0.1, source="test")
    wide = replace(plain, outputs=(replace(plain.outputs[0], dtype="int16"),))
    both = replace(plain, tolerances=(*plain.tolerances, ssim))
    for artifact, said in (
        (replace(plain, tolerances=(ssim,)), "it has no limit that the test can check"),
        (wide, "LiteRT's Kotlin API does not support tensors of int16"),
        (both, r"ssim_loss (only pocketvae verify checks that)"),
    ):
        _, (line,) = android_cases(with_artifacts(bundle, artifact))
        assert said in line
    write_android_test(with_artifacts(bundle, both), tmp_path / "test")
    assert "ssim_loss (only pocketvae verify checks that)" in (tmp_path / "test/README.md").read_text("utf-8")


def test_a_folder_that_exists_is_kept(bundle, tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test/mine.txt").write_text("x")
    with pytest.raises(OutputExistsError, match="test exists: choose another output"):
        write_android_test(bundle, tmp_path / "test")
    assert {path.name: path.read_text() for path in (tmp_path / "test").iterdir()} == {"mine.txt": "x"}


def test_what_a_developer_has_made_of_the_test_is_kept(bundle, tmp_path):
    folder = tmp_path / "test"
    for _ in range(2):
        write_android_test(bundle, folder, force=True)
    code = folder / CODE / "PocketvaeParityTest.kt"
    code.write_text(code.read_text("utf-8").replace("CPU", "GPU") + "// mine", "utf-8")
    (code.parent / "Mine.kt").touch()
    with pytest.raises(OutputExistsError, match=r"would delete: .*parity/Mine\.kt, .*PocketvaeParityTest\.kt; choose"):
        write_android_test(bundle, folder, force=True)
    assert code.read_text("utf-8").endswith("// mine")


def test_a_bundle_without_a_file_that_a_phone_can_test_is_refused_with_the_reasons(bundle, tmp_path):
    untested = replace(integer_decoder(bundle), tolerances=())
    with pytest.raises(SpecError, match=r"no file .* tested on Android: decoder\.int8_io\.tflite: it has no limit"):
        write_android_test(with_artifacts(bundle, untested), tmp_path / "test")
    assert not (tmp_path / "test").exists()


def test_the_command_refuses_a_folder_of_others_before_any_work(tmp_path, capsys):
    (tmp_path / "test").mkdir()
    (tmp_path / "test/mine.txt").write_text("x")
    words = ["export", "nothing", "--out", str(tmp_path / "b"), "--android-test", str(tmp_path / "test")]
    assert main(words) == 2
    assert "test exists: choose another output" in capsys.readouterr().err
    assert main([*words, "--force"]) == 2
    assert "one with a pocketvae-android-test.json, and" in capsys.readouterr().err


def test_the_command_tells_where_the_test_is(bundle, tmp_path, capsys):
    arguments = argparse.Namespace(out=bundle.path, android_test=tmp_path / "test", force=False)
    with Terminal(quiet=False) as terminal:
        _write_android_test(arguments, terminal)
    assert f"test for Android: {tmp_path / 'test'}" in capsys.readouterr().out
    assert (tmp_path / "test" / CODE / "PocketvaeMetrics.kt").is_file()


METRICS = (
    "max_abs",
    "mean_abs",
    "rmse",
    "p99_abs",
    "share_off_by_1",
    "share_off_by_4",
    "codes_changed",
    "kl_mean",
    "kl_max",
)
MAIN = """
fun main() {
    val expected = mapOf(%s)
    val found = mapOf(%s)
    for (metric in listOf(%s)) println(measure(Limit("z_mean", metric, 0.0), expected, found, 3, 1.0))
    println(measure(Limit("z_mean", "max_abs", 0.0), expected, expected.mapValues { floatArrayOf(Float.NaN) }, 1, 1.0))
    val all = FloatArray(6)
    for (sample in 0 until 2) keep(FloatArray(8) { 10f * sample + it }, 3, all, sample, 2)
    println(all.map { it.toInt() })
}
"""


@pytest.mark.slow
def test_its_code_compiles_and_measures_as_verify_does(bundle, tmp_path, compile_kotlin):
    added = integer_decoder(bundle)
    artifacts = {
        "both": (*bundle.manifest.artifacts, added),
        "tflite": (added,),
        "onnx": bundle.manifest.artifacts,
        "some": (added,),
    }
    paths = []
    for name, chosen in artifacts.items():
        source = thinned(bundle, 3)[0] if name == "some" else bundle
        write_android_test(with_artifacts(source, *chosen), tmp_path / name)
        for path in sorted((tmp_path / name / CODE).glob("*.kt")):
            path.write_text(path.read_text("utf-8").replace("package pocketvae.parity", f"package {name}"), "utf-8")
            paths.append(path)
    rng = np.random.default_rng(0)
    expected, found = (
        {part: rng.normal(size=(3, 4)).astype(np.float32) for part in ("z_mean", "z_log_var")} for _ in range(2)
    )
    found["z_mean"][0, 0] = expected["z_mean"][0, 0]

    def kotlin(arrays):
        return ", ".join(
            f'"{n}" to floatArrayOf({", ".join(f"{v}f" for v in a.reshape(-1))})' for n, a in arrays.items()
        )

    main = MAIN % (kotlin(expected), kotlin(found), ", ".join(f'"{metric}"' for metric in METRICS))
    (tmp_path / "main.kt").write_text(f"package both\n{main}", "utf-8")
    *printed, last, kept = compile_kotlin(*paths, tmp_path / "main.kt", main="both.MainKt").splitlines()
    values = [
        measure(Tolerance(output="z_mean", metric=metric, limit=0.0, source=""), expected, found) for metric in METRICS
    ]
    np.testing.assert_allclose([float(line) for line in printed], values, rtol=1e-5)
    assert last == "NaN"
    assert kept == "[0, 3, 6, 10, 13, 16]"


def test_foreign_names_do_not_break_out_of_the_code(bundle, tmp_path):
    plain = bundle.manifest.artifacts[0]
    hostile = 'z "); /* */ // \\ ${x}'
    artifact = replace(plain, outputs=(replace(plain.outputs[0], name=hostile),))
    (case,), _ = android_cases(with_artifacts(bundle, artifact))
    values = {"cases": (case,), "has_onnx": True, "has_tflite": False, "image_span": 1.0}
    code = render("pocketvae.export.guide", "android_test.kt.j2", values)
    assert hostile not in code
    assert 'Tensor("z \\"); /* */ // \\\\ \\${x}"' in code
