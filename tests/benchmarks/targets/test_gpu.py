"""Where the target `gpu` finds a driver, and what it declines."""

import pytest

from pocketvae.benchmarks.targets import gpu, make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty machine: no driver is installed, none is named."""
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu, "_DRIVER_FOLDERS", (tmp_path / "none", tmp_path))
    return tmp_path


def test_a_card_is_told_from_software_by_its_driver(folders, monkeypatch):
    assert not gpu.has_card()
    (folders / "lvp_icd.x86_64.json").write_text("{}")
    assert not gpu.has_card()
    assert not make_target("gpu").measures_time()
    (folders / "nvidia_icd.json").write_text("{}")
    assert gpu.has_card()
    assert make_target("gpu").measures_time()


def test_a_driver_that_the_user_names_counts_as_a_card(folders, monkeypatch):
    monkeypatch.setenv("VK_DRIVER_FILES", "/somewhere/icd.json")
    assert gpu.has_card()


def test_an_option_is_refused():
    with pytest.raises(SpecError, match="the target gpu takes no options"):
        make_target("gpu:1")


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
