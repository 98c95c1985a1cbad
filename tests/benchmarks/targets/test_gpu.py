"""Where the target `gpu` finds a driver, and what it declines."""

import pytest

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.targets import gpu, make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError, TargetError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty machine: no driver is installed, none is named."""
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu, "_DRIVER_FOLDERS", (tmp_path / "none", tmp_path))
    monkeypatch.setattr(gpu, "_DEVICE_FOLDER", tmp_path / "dev")
    return tmp_path


def test_a_card_is_told_from_software_by_its_driver(folders, monkeypatch):
    assert not gpu.has_card()
    (folders / "lvp_icd.x86_64.json").write_text("{}")
    assert not gpu.has_card()
    assert not make_target("gpu").measures_time()
    (folders / "nvidia_icd.json").write_text("{}")
    # Mesa installs the drivers of all cards.
    assert not gpu.has_card()
    (folders / "dev/dri").mkdir(parents=True)
    (folders / "dev/dri/renderD128").touch()
    assert gpu.has_card()
    assert make_target("gpu").measures_time()


def test_a_driver_that_the_user_names_counts_as_a_card(folders, monkeypatch):
    monkeypatch.setenv("VK_DRIVER_FILES", "/somewhere/icd.json")
    assert gpu.has_card()


def test_a_driver_that_computes_on_the_cpu_after_all_is_not_timed():
    run = gpu.GpuRun.__new__(gpu.GpuRun)
    run._name, run._facts = "gpu", {"adapter": "llvmpipe (LLVM 19.1.7, 256 bits)"}
    with pytest.raises(TargetError, match="gpu: llvmpipe .* computes on the CPU, so its latency says nothing"):
        run.latency(None, {})


def test_swiftshader_comes_from_a_browser_or_from_a_package(folders, monkeypatch):
    monkeypatch.setattr(gpu.chromium.sys, "platform", "linux")
    monkeypatch.setattr(gpu.chromium.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(gpu, "_BROWSERS", (folders / "browser",))
    [step] = make_target("gpu").setup()
    assert "npm package @sparticuz/chromium" in step.text
    (folders / "browser").mkdir()
    (folders / "browser" / "libvk_swiftshader.so").touch()
    [step] = make_target("gpu").setup()
    assert f"SwiftShader of {folders / 'browser'}" in step.text


def test_an_option_other_than_the_precision_is_refused():
    words = "unknown precision of the target gpu 'float33': did you mean 'float32'\\? known: float32"
    with pytest.raises(SpecError, match=words):
        make_target("gpu:float33")


def test_on_a_card_floats_are_held_to_half_precision_unless_single_precision_is_asked_for(
    folders, monkeypatch, tmp_path, bundles
):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "bundle"))
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    # SwiftShader computes in single precision.
    assert make_target("gpu").judged(bundle, artifact) == artifact
    (folders / "nvidia_icd.json").write_text("{}")
    (folders / "dev/dri").mkdir(parents=True)
    (folders / "dev/dri/renderD128").touch()
    assert make_target("gpu").judged(bundle, artifact) == judged_in_half_precision(bundle, artifact) != artifact
    assert make_target("gpu:float32").judged(bundle, artifact) == artifact
    assert make_target("gpu:float32").name == "gpu:float32"


@pytest.mark.parametrize(
    ("adapter", "is_half"), [("llvmpipe (LLVM 19.1.7, 256 bits)", False), ("SwiftShader Device", False), ("H200", True)]
)
def test_limits_follow_the_adapter_that_computes(folders, monkeypatch, tmp_path, bundles, adapter, is_half):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "bundle"))
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    monkeypatch.setenv("VK_ICD_FILENAMES", "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")

    def started(self, name, channel, bundle):
        self._name, self._facts = name, {"adapter": adapter}

    monkeypatch.setattr(gpu.GpuRun, "__init__", started)
    monkeypatch.setattr(gpu, "start_here", lambda *_: None)
    target = make_target("gpu")
    target.open(bundle)
    assert (target.judged(bundle, artifact) != artifact) is is_half


@pytest.mark.slow
def test_what_a_gpu_cannot_do_is_declined_with_the_reason(tiny_bundle):
    target = make_target("gpu")
    reasons = {item.name: target.declines(item) for item in open_bundle(tiny_bundle).manifest.artifacts}
    taken = {name for name, reason in reasons.items() if not reason}
    kinds = ("float32", "float16", "dynamic_int8", "int8", "int8_io")
    assert taken == {f"{part}.{kind}.tflite" for part in ("encoder", "decoder") for kind in kinds}
    assert "16-bit" in reasons["decoder.int16x8.tflite"]
    assert "only supports TFLite" in reasons["decoder.float32.onnx"]
    assert "shifts and exclusive or" in reasons["sampler.float32.tflite"]
