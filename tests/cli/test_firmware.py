"""The command firmware."""

import pytest

from pocketvae.portability.tflm import tflm_step


def test_bad_input_is_one_line(refused, tmp_path, bundles):
    folder = bundles.make_bundle(tmp_path / "b")
    out = tmp_path / "fw"
    refused("no TFLite file of a scorer or decoder for firmware: it has none", "firmware", folder, "--out", out)
    refused("did you mean 'decoder'", "firmware", folder, "--out", out, "--component", "decodr")
    refused("--component needs a name, got ''", "firmware", folder, "--out", out, "--component", "")
    refused("--for needs a name, got ''", "firmware", folder, "--out", out, "--for", "")
    refused("unknown Ethos-U accelerator 'ethos-u55-127'", "firmware", folder, "--out", out, "--for", "ethos-u55-127")
    refused("the folder of .* does not exist", "firmware", folder, "--out", tmp_path / "no" / "fw")
    assert not out.exists()


def test_only_an_own_project_is_replaced(refused, tmp_path, bundles):
    folder, out = bundles.make_bundle(tmp_path / "b"), tmp_path / "fw"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    refused("exists", "firmware", folder, "--out", out)
    refused(
        "--force only replaces an empty folder or one with a pocketvae_model.h",
        "firmware",
        folder,
        "--out",
        out,
        "--force",
    )
    assert (out / "thesis.txt").read_text() == "mine"


def test_the_table_is_printed(command, tmp_path, tiny_bundle):
    if not tflm_step().is_done():
        pytest.skip("tflite-micro is not set up: pocketvae targets setup tflm")
    outcome = command(
        "firmware", tiny_bundle, "--out", tmp_path / "fw", "--component", "encoder", "--precision", "int8_io"
    )
    assert outcome.code == 0
    assert "encoder.int8_io.tflite on TensorFlow Lite Micro: " in outcome.out
    assert "arena needed" in outcome.out
    again = command("firmware", tiny_bundle, "--out", tmp_path / "fw", "--force")
    assert again.code == 0
