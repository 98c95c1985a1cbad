"""Firmware projects, built with this machine's compiler and run on TensorFlow Lite Micro's kernels."""

import platform
import re
import shutil
import subprocess

import numpy as np
import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import OutputExistsError, SpecError, TargetError
from pocketvae.export.firmware import project
from pocketvae.export.firmware.check import EXAMPLE, SELF_TEST, run_here, write_interface
from pocketvae.export.firmware.choice import choose_artifact
from pocketvae.export.firmware.code import PACKAGE, golden_files
from pocketvae.export.firmware.goldens import ExpectedOutput, SelfTest
from pocketvae.export.firmware.plan import plan_firmware
from pocketvae.export.firmware.project import write_firmware
from pocketvae.export.firmware.tensors import Interface, Tensor
from pocketvae.export.firmware.window import window_of
from pocketvae.fields import Channel
from pocketvae.portability.vela import vela_step
from pocketvae.reporting.templates import render
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.litert import LiteRtRunner
from pocketvae.spec import TensorSpec
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

FILES = """
CMakeLists.txt README.md board.h board_host.cc cortex-m.cmake golden_data.cc golden_data.h main.cc model_data.cc
model_data.h pocketvae-firmware.json pocketvae_model.cc pocketvae_model.h self_test.cc
"""


@pytest.fixture
def checked(tmp_path, tflm, compiler):
    """Writes a project, and checks that its self-test passes here."""

    def write(bundle, **options):
        firmware, result = write_firmware(bundle, tmp_path / "fw", check=True, **options)
        assert result.passed, result.lines
        assert result.lines[-1] == "SELF-TEST PASSED"
        return tmp_path / "fw", firmware, result

    return write


def rerun(folder, kernels):
    """Runs a changed project's self-test again and returns what failed."""
    result = run_here(folder, kernels)
    assert not result.passed
    return [line for line in result.lines if line.startswith("FAIL")]


def test_a_decoder_is_built_and_passes(bundle, checked):
    folder, firmware, result = checked(bundle)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES.split())
    assert result.lines[0].startswith("PASS begin, ")
    readme = (folder / "README.md").read_text()
    assert f"| model | {len(firmware.content):,} | flash |" in readme
    assert "| FULLY\\_CONNECTED | 1 | AddFullyConnected() |" in readme
    assert "| yes | passed |" in readme
    assert "from the original model" in readme


def test_the_self_test_fails_for_another_model_and_for_another_golden(bundle, checked):
    folder, firmware, _ = checked(bundle)
    data, golden = folder / "model_data.cc", folder / "golden_data.cc"
    whole, samples = data.read_text(), golden.read_text()
    values = re.findall(r"0x[0-9a-f]{2}", whole)
    content = bytearray(int(value, 16) for value in values)
    assert bytes(content) == firmware.content
    place = bytes(content).find(np.float32(firmware_weight(firmware)).tobytes())
    content[place : place + 4] = np.float32(9).tobytes()
    data.write_text(re.sub(r"\{[^}]*\}", "{" + ",".join(map(str, content)) + "}", whole))
    assert any("image max_abs" in line for line in rerun(folder, firmware.kernels))
    data.write_text(whole)
    golden.write_text(re.sub(r"(golden_output_image\[\d+\] = \{\n\s*)[^,]+", r"\g<1>7.0f", samples))
    assert rerun(folder, firmware.kernels) == ["FAIL image max_abs within 1e-05, sample 0"]


def firmware_weight(firmware):
    """One weight of the decoder, by its value."""
    from pocketvae.formats.tflite.model import constant, read_model

    model = read_model(firmware.content)
    found = [constant(model, tensor) for tensor in model.subgraphs[0].tensors]
    largest = max((values for values in found if values is not None), key=len)
    return np.frombuffer(largest.tobytes(), "<f4")[0]


def test_an_arena_that_is_too_small_is_reported(bundle, checked):
    folder, firmware, _ = checked(bundle)
    header = folder / "pocketvae_model.h"
    header.write_text(re.sub(r"(POCKETVAE_ARENA_BYTES) \d+", r"\1 256", header.read_text()))
    assert rerun(folder, firmware.kernels)[0].startswith("FAIL begin: an arena of 256 bytes is too small")


def test_the_example_prints_what_the_model_computes(bundle, checked):
    folder, firmware, _ = checked(bundle)
    z = np.array([[0.5, -1.25, 2.0], [0.0, 0.0, 1.0]], np.float32)
    given = "\n".join(",".join(str(value) for value in row) for row in z)
    lines = run_here(folder, firmware.kernels, EXAMPLE, given=given).lines
    opened = open_bundle(folder.parent / "b")
    with LiteRtRunner(
        opened.artifact_path(firmware.artifact), num_threads=1, optimizations=Optimizations.OFF
    ) as runner:
        expected = runner.run_samples({"z": z}, (0.0, 1.0))["image"].reshape(2, -1)
    assert [line.split()[0] for line in lines] == ["image", "image"]
    found = np.array([line.split()[1:] for line in lines], np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_a_scorer_takes_time_steps_and_raises_the_alarm(signal_bundle, checked):
    folder, firmware, result = checked(signal_bundle, hop=8)
    assert firmware.artifact.name == "scorer.int8_io.tflite"
    assert firmware.memory.arena_bytes < 64 << 10
    assert "PASS ring buffer: a value that is not a number is noticed, sample 0" in result.lines
    window = firmware.window
    # In the unit of the data, which the firmware normalizes: the mean of every channel is unremarkable.
    calm = [",".join(str(channel.mean) for channel in window.channels)] * (window.steps + 16)
    wild = [",".join(str(channel.mean + 500 * channel.scale) for channel in window.channels)] * window.steps
    broken = ["nan,0,0", *calm]
    lines = run_here(folder, firmware.kernels, EXAMPLE, given="\n".join([*calm, *wild, *broken])).lines
    scores = [float(line.split()[1]) for line in lines]
    alarms = [int(line.split()[3]) for line in lines]
    # One call when the first window is full, then one for every 8 new steps.
    assert len(lines) == 1 + (len(calm) + len(wild) + len(broken) - window.steps) // 8
    assert alarms[0] == 0
    assert max(alarms) == 1
    assert max(scores[:3]) < firmware.threshold < np.nanmax(scores)
    assert np.isnan(scores).any()
    assert alarms == [int(not score <= firmware.threshold) for score in scores]


@pytest.mark.slow
@pytest.mark.parametrize(("component", "precision"), [("scorer", "float32"), ("encoder", "int8_io")])
def test_other_parts_of_a_model_of_signals_pass(component, precision, signal_bundle, checked):
    folder, firmware, _ = checked(signal_bundle, component=component, precision=precision)
    # A scorer with a float interface takes the sensor's values and normalizes them itself.
    assert firmware.window.is_normalized == (component == "encoder")
    text = (folder / "pocketvae_model.cc").read_text()
    mean = firmware.window.channels[0].mean
    assert (f"kMeans[Model::kChannels] = {{{mean!r}f" in text) == firmware.window.is_normalized


# A model that returns its input, with what the self-test calls.
MODEL = """
#include "golden_data.h"
#define POCKETVAE_ARENA_BYTES 1
namespace pocketvae {
struct Model {
  static constexpr size_t kSteps = 8, kChannels = 2, kInputSize_x = 16, kOutputSize_y = 16;
  static inline float values[16], ring[16];
  static inline size_t count = 0;
  static bool begin() { return true; }
  static size_t arena_used_bytes() { return 1; }
  static bool run() {
    for (size_t i = 0; count >= 16 && i < 16; ++i) values[i] = ring[(count + i) % 16];
    return true;
  }
  static void push(const float* step) {
    for (size_t i = 0; i < 2; ++i) ring[count++ % 16] = (step[i] - golden_means[i]) / golden_scales[i];
  }
  static void clear() { count = 0; }
  static bool window_is_finite() { return !__builtin_isnan(ring[(count - 2) % 16]); }
  static void set_x(size_t index, float value) { values[index] = value; }
  static float get_y(size_t index) { return values[index]; }
  static const float* output_y() { return values; }
};
}  // namespace pocketvae
"""


@pytest.mark.parametrize("model", [MODEL, MODEL.replace("(count + i)", "i")], ids=["right", "not oldest first"])
def test_a_right_ring_passes_however_far_from_zero_its_channels_are(tmp_path, compiler, model):
    channels = (Channel(name="hertz", mean=50.0, scale=0.02), Channel(name="pascal", mean=101325.0, scale=100.0))
    vae = VaeSpec(
        data=DataKind.SEQUENCE,
        data_shape=(8, 2),
        latents=vector_latent(3),
        likelihood=Likelihood.GAUSSIAN,
        noise_scale=0.1,
        channels=channels,
    )
    x, y = (Tensor(spec=TensorSpec(name=n, dtype="float32", shape=(1, 8, 2)), name=n, index=0) for n in "xy")
    values = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    limit = {"metric": "max_abs", "limit": 1e-5, "text": "y max_abs"}
    interface, window = Interface(inputs=(x,), outputs=(y,)), window_of(vae, (x,), None)
    test = SelfTest(
        inputs=(values,), outputs=(ExpectedOutput(tensor=y, values=values, limits=()),), run=None, unchecked=()
    )
    shown = {
        "artifact": "a",
        "interface": interface,
        "window": window,
        "has_categories": False,
        "is_scorer": False,
        "close_share": 0.01,
        "outputs": [{"tensor": y, "p99_limit": 0.0, "close_limit": 0.0, "limits": [limit]}],
    }
    files = {
        **golden_files(test, interface, window, ""),
        "pocketvae_model.h": model,
        "self_test.cc": render(PACKAGE, "self_test.cc.cpp.j2", shown),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "program"]
    subprocess.run([*command, *(tmp_path / name for name in SELF_TEST)], check=True)
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert failed == ([] if model == MODEL else ["FAIL ring buffer: y as without it, sample 0"])


@pytest.mark.parametrize(("component", "precision"), [("decoder", "int8_io"), ("decoder", "int8"), ("encoder", "int8")])
def test_images_in_integers_pass(component, precision, tiny_bundle, checked):
    _, firmware, result = checked(tiny_bundle, component=component, precision=precision)
    assert firmware.window is None
    assert result.lines[0].startswith("PASS begin")


def test_cmake_builds_the_model(bundle, tmp_path, tflm):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    firmware, _ = write_firmware(bundle, tmp_path / "fw")
    (tmp_path / "include").mkdir()
    write_interface(tmp_path / "include", firmware.kernels)
    options = [f"-DTFLM_INCLUDE_DIRS={tmp_path / 'include'}", "-DTFLM_LIBRARY=none", "-DPOCKETVAE_ARENA_BYTES=54321"]
    configured = subprocess.run(
        ["cmake", "-S", tmp_path / "fw", "-B", tmp_path / "build", *options], capture_output=True, text=True, check=True
    )
    assert "only the model is built and no program: set TFLM_DIR" in " ".join(configured.stderr.split())
    flags = (tmp_path / "build").rglob("flags.make")
    assert any("-DPOCKETVAE_ARENA_BYTES=54321" in path.read_text() for path in flags)
    # As TensorFlow Lite Micro's Makefile names it.
    system = {"Darwin": "osx"}.get(platform.system(), platform.system().lower())
    cache = (tmp_path / "build" / "CMakeCache.txt").read_text()
    assert f"TFLM_TARGET:STRING={system}_{platform.machine()}_default_gcc\n" in cache
    subprocess.run(["cmake", "--build", tmp_path / "build"], capture_output=True, check=True)
    assert (tmp_path / "build" / "libpocketvae_model.a").is_file()


def test_a_file_for_an_npu_is_written_and_not_run(tiny_bundle, tmp_path, tflm):
    if not vela_step().is_done():
        pytest.skip("ethos-u-vela is not set up: pocketvae targets setup ethos-u")
    firmware, result = write_firmware(tiny_bundle, tmp_path / "fw", precision="int8_io", chip="ethos-u55-128")
    assert result is None
    assert "AddEthosU()" in (tmp_path / "fw" / "pocketvae_model.cc").read_text()
    assert not firmware.memory.is_measured
    readme = (tmp_path / "fw" / "README.md").read_text()
    assert "| an Ethos-U and its driver | no | no |" in readme
    (tmp_path / "include").mkdir()
    write_interface(tmp_path / "include", firmware.kernels)
    cmake = ["cmake", "-S", tmp_path / "fw", "-B", tmp_path / "build", f"-DTFLM_INCLUDE_DIRS={tmp_path / 'include'}"]
    if shutil.which("cmake") is not None:
        library = tmp_path / "libtensorflow-microlite.a"
        subprocess.run([*cmake, "-DTFLM_LIBRARY=none"], capture_output=True, check=True)
        subprocess.run(["cmake", "--build", tmp_path / "build"], capture_output=True, check=True)
        assert (tmp_path / "build" / "libpocketvae_model.a").is_file()
        library.write_bytes(b"")
        failed = subprocess.run([*cmake, f"-DTFLM_LIBRARY={library}"], capture_output=True, text=True, check=False)
        assert "ETHOSU_DRIVER is not a file: name Arm's core driver" in " ".join(failed.stderr.split())
    with pytest.raises(SpecError, match="--check cannot run what is compiled for an NPU"):
        write_firmware(tiny_bundle, tmp_path / "other", chip="ethos-u55-128", check=True)


def test_a_file_beyond_its_limits_is_refused(tmp_path, bundles, tflite_models, recorded, tflm):
    folder = bundles.make_bundle(tmp_path / "b")
    recorded(folder, tflite_models.decoder(bundles.right_weight() + np.float32(0.1), bundles.SIDE))
    with pytest.raises(
        SpecError, match=r"decoder\.float32\.tflite does not hold its limits on TensorFlow Lite Micro's"
    ):
        write_firmware(folder, tmp_path / "fw")
    assert not (tmp_path / "fw").exists()


def test_an_operator_without_a_kernel_is_named_before_anything_runs(tmp_path, bundles, tflite_models, recorded, tflm):
    folder = recorded(bundles.make_bundle(tmp_path / "b"), tflite_models.one_operator("RIGHT_SHIFT"))
    with pytest.raises(SpecError, match=r"TensorFlow Lite Micro cannot run decoder\.float32\.tflite: RIGHT_SHIFT"):
        write_firmware(folder, tmp_path / "fw")


def test_a_missing_compiler_or_interpreter_is_named(bundle, tmp_path, monkeypatch, tflm):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(TargetError, match=r"--check needs a C\+\+ compiler, and no-such-compiler is not installed"):
        write_firmware(bundle, tmp_path / "fw", check=True)

    def missing():
        raise TargetError("tflite-micro is not set up")

    monkeypatch.setattr(project, "require_tflm", missing)
    with pytest.raises(TargetError, match="not set up"):
        write_firmware(bundle, tmp_path / "fw")
    assert not (tmp_path / "fw").exists()


def test_an_interruption_leaves_nothing(bundle, tmp_path, monkeypatch, tflm):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(project, "readme", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_firmware(bundle, tmp_path / "fw")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_project_that_was_changed_stays(bundle, tmp_path, tflm):
    for _ in range(2):
        write_firmware(bundle, tmp_path / "fw", force=True)
    with (tmp_path / "fw/main.cc").open("a") as file:
        file.write("// mine")
    with pytest.raises(OutputExistsError, match=r"files of yours, which --force would delete: main\.cc; "):
        write_firmware(bundle, tmp_path / "fw", force=True)
    assert (tmp_path / "fw/main.cc").read_text().endswith("// mine")


def test_an_existing_folder_stays(bundle, tmp_path):
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / "mine").write_text("kept")
    with pytest.raises(OutputExistsError, match="exists"):
        write_firmware(bundle, tmp_path / "fw")
    assert {path.name: path.read_text() for path in (tmp_path / "fw").iterdir()} == {"mine": "kept"}


def test_the_plan_is_the_same_each_time(bundle, tflm):
    opened = open_bundle(bundle)
    artifact = choose_artifact(opened.manifest)
    first, second = (plan_firmware(opened, artifact, None, None) for _ in range(2))
    assert first.memory == second.memory
    assert project.project_files(first, opened) == project.project_files(second, opened)
