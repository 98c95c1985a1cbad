"""The command firmware."""

import json

import pytest

from pocketvae.export.firmware.project import MARKER
from pocketvae.portability.tflm import tflm_step
from pocketvae.system.written import file_hashes


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
        "--force only replaces an empty folder or one with a pocketvae-firmware.json",
        "firmware",
        folder,
        "--out",
        out,
        "--force",
    )
    assert (out / "thesis.txt").read_text() == "mine"


def test_what_a_developer_has_made_of_a_project_is_kept(refused, tmp_path, bundles):
    folder, out = bundles.make_bundle(tmp_path / "b"), tmp_path / "fw"
    out.mkdir()
    (out / "main.cc").write_text("generated")
    (out / MARKER).write_text(json.dumps({"files": file_hashes({"main.cc": "generated"})}))
    words = ("firmware", folder, "--out", out, "--force")
    (out / "build").mkdir()
    refused("no TFLite file of a scorer or decoder for firmware", *words)  # which is asked for after the folder
    (out / "board_mine.cc").touch()
    refused("fw has files of yours, which --force would delete: board_mine.cc; write into another folder", *words)
    (out / "board_mine.cc").unlink()
    (out / "main.cc").write_text("mine")
    refused("fw has files of yours, which --force would delete: main.cc; ", *words)
    assert (out / "main.cc").read_text() == "mine"


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
