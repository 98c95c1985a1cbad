import re
from dataclasses import replace

import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.chips import ChipRecord, ChipTrial
from pocketvae.bundle.manifest import CompiledRecord, FileRecord
from pocketvae.export.guide.card import model_card
from pocketvae.export.guide.page import embed_guide
from pocketvae.portability.records import Backend, Portability, Requirement, Unsupported
from pocketvae.spec import Component, Format
from pocketvae.vae_spec import PosteriorKind


@pytest.fixture
def manifest(tmp_path, bundles):
    """A bundle's manifest; of its files only the decoder is left, as TFLite."""
    found = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest
    (decoder,) = [item for item in found.artifacts if item.component is Component.DECODER]
    file = replace(decoder.file, path="decoder.float32.tflite")
    needs = Requirement(runtime="TensorFlow Lite", version="2.5.0", reason="DEPTH_TO_SPACE version 2")
    falls_off = (Unsupported(operator="TRANSPOSE_CONV", count=2, reason="version 4"),)
    portability = (
        Portability(backend=Backend.XNNPACK, operators=3, taken=3, falls_off=(), source="the table of xnnpack"),
        Portability(backend=Backend.TFLM, operators=3, taken=1, falls_off=falls_off, source="the table of tflm"),
    )
    decoder = replace(decoder, format=Format.TFLITE, file=file, portability=portability, requires=needs)
    return replace(found, artifacts=(decoder,), licence="CC0", author="A. Author")


def test_what_was_made_for_a_chip_is_listed(manifest):
    trial = ChipTrial(artifact="decoder.int8.onnx", serves=True, reason="taken whole")
    compiled = CompiledRecord(
        artifact="decoder.int8.onnx",
        chip="hexagon:v75",
        compiler="onnxruntime-qnn 2.7.0",
        source_sha256="0" * 64,
        file=FileRecord.of("compiled/hexagon-v75/decoder.int8.onnx", b"0" * 1200),
    )
    made = replace(
        manifest,
        chips=(ChipRecord(name="hexagon:v75", decided_by="a simulator", trials=(trial,)),),
        compiled=(compiled,),
    )
    card = model_card(made)
    assert "Exported for hexagon:v75, decided by a simulator:\n\n- decoder.int8.onnx serves: taken whole\n" in card
    assert "- compiled/hexagon-v75/decoder.int8.onnx for hexagon:v75, from decoder.int8.onnx by onnxruntime-qnn" in card
    line = "- `compiled/hexagon-v75/decoder.int8.onnx`, 1.2 kB: `decoder.int8.onnx` for hexagon:v75\n"
    assert line in embed_guide(made)
    assert "QNN" not in embed_guide(manifest)


def test_the_card_says_where_it_runs_and_under_which_licence(manifest):
    card = model_card(manifest)
    assert (
        "| decoder.float32.tflite | TensorFlow Lite 2.5.0 (DEPTH_TO_SPACE version 2) "
        "| xnnpack: all 3; tflm: 1 of 3; not TRANSPOSE_CONV x2 (version 4) |"
    ) in card
    assert "- tflm: the table of tflm" in card
    assert "- Licence of the model: CC0" in card
    assert "- Author: A. Author" in card
    assert "[EMBED.md](EMBED.md)" in card


def test_an_older_manifest_says_nothing_of_it(tmp_path, bundles):
    card = model_card(open_bundle(bundles.make_bundle(tmp_path / "b")).manifest)
    assert "| decoder.float32.onnx | not recorded | not recorded |" in card
    assert "- Licence of the model: not stated" in card


def test_a_card_does_not_break_on_foreign_text(tmp_path, bundles):
    manifest = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest
    card = model_card(replace(manifest, name="# a\n## b", licence="[x](y) <script>", author="c\n\n- Author: d"))
    assert card.startswith("# \\# a ## b\n")
    assert "[x\\](y) &lt;script>" in card
    assert re.findall("^- Author: .*$", card, re.MULTILINE) == ["- Author: c - Author: d"]


def test_every_part_has_a_line_and_an_encoder_without_a_posterior_says_so(tmp_path, bundles):
    manifest = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest
    for posterior, said in ((PosteriorKind.GAUSSIAN, "the posterior q(z|x)"), (PosteriorKind.NONE, "no posterior")):
        lines = model_card(replace(manifest, vae=replace(manifest.vae, posterior=posterior))).splitlines()
        (encoder,) = [line for line in lines if line.startswith("- encoder:")]
        assert encoder.endswith(said)
        assert any(line.startswith("- decoder:") for line in lines)
