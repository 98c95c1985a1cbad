import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.bundle import Goldens, thin
from pocketvae.bundle.embedded import EmbeddedArray, EmbeddedGoldens, _unpack, has_record, open_lone_file, restore
from pocketvae.errors import ManifestError, SpecError
from pocketvae.spec import Component, Format
from pocketvae.system.files import sha256_bytes


@pytest.fixture(params=list(Format))
def lone(request, tmp_path, bundles, tflite_models, lone_files):
    """A decoder with metadata, in both formats."""
    weight = bundles.right_weight()
    content = {
        Format.TFLITE: lambda: tflite_models.decoder(weight, bundles.SIDE),
        Format.ONNX: lambda: bundles.decoder_model(weight).SerializeToString(),
    }[request.param]()
    path = tmp_path / f"decoder.float32.{request.param}"
    path.write_bytes(lone_files.signed(tmp_path, request.param, content, weight))
    return path


def test_a_file_says_what_it_is(lone):
    found = open_lone_file(lone)
    record = found.record
    assert (record.name, record.licence, record.author) == ("tiny", "CC0", "A. Author")
    assert record.sources == {Component.DECODER: "d" * 64}
    assert (record.vae.latent_dim, record.vae.likelihood, record.vae.prior, record.vae.label_count) == (
        3,
        "bernoulli",
        "standard",
        0,
    )
    assert [(item.tensor.name, item.unit, item.range) for item in record.outputs] == [
        ("image", "pixel, 0 black to 1 white", (0.0, 1.0))
    ]
    assert record.inputs[0].meaning == "latent vector; draw it from N(0, I) to generate"
    assert record.tolerances[0].source == "test"
    assert record.requires.version in ("1.12", "1.14.0")
    assert found.content_sha256 == record.content_sha256


def test_its_golden_pairs_are_the_originals(lone, bundles):
    goldens = open_lone_file(lone).goldens()
    assert 1 <= goldens.count <= 4
    assert {stratum.name for stratum in goldens.strata} == {"prior", "tails"}
    expected = 1 / (1 + np.exp(-(goldens.inputs["z"] @ bundles.right_weight())))
    np.testing.assert_allclose(goldens.outputs["image"].reshape(goldens.count, -1), expected, atol=1e-6)


def test_a_changed_weight_changes_the_content_hash_alone(lone, bundles):
    content = bytearray(lone.read_bytes())
    at = content.find(bundles.right_weight().T.astype("<f4").tobytes())
    at = at if at >= 0 else content.find(bundles.right_weight().astype("<f4").tobytes())
    assert at > 0
    content[at + 3] ^= 0x40
    lone.write_bytes(content)
    found = open_lone_file(lone)
    assert found.content_sha256 != found.record.content_sha256
    assert found.goldens() is not None


@pytest.mark.parametrize("text", ['"limit": 1e-05', '"licence": "CC0"', '"name": "tiny"'])
def test_a_changed_record_is_named(lone, text):
    content = lone.read_bytes()
    assert text.encode() in content
    lone.write_bytes(content.replace(text.encode(), text.encode()[:-2] + b"7" + text.encode()[-1:]))
    with pytest.raises(ManifestError, match="its pocketvae metadata was changed: the checksum does not match"):
        open_lone_file(lone)


def test_changed_golden_pairs_are_named(lone):
    record = open_lone_file(lone).record
    content = lone.read_bytes()
    start = content.find(b"x\xda") if record.format is Format.TFLITE else content.find(b"eN")
    changed = bytearray(content)
    changed[start + 8] ^= 1
    lone.write_bytes(changed)
    with pytest.raises(ManifestError, match="the golden pairs inside are damaged"):
        open_lone_file(lone).goldens()


@pytest.mark.parametrize("size", [2**70, 2**62])
def test_golden_pairs_larger_than_any_memory_are_refused(lone, size):
    """The first is no C long; times four bytes, the second was 0 in 64 bits."""
    found = open_lone_file(lone)
    goldens = found.record.goldens
    array = replace(goldens.inputs[0], shape=(goldens.count, size))
    changed = replace(found.record, goldens=replace(goldens, inputs=(array, *goldens.inputs[1:])))
    with pytest.raises(ManifestError, match="the golden pairs inside are damaged: the sizes do not match"):
        replace(found, record=changed).goldens()


def test_a_truncated_file_is_refused_or_seen_to_be_changed(lone):
    whole = lone.read_bytes()
    for size in range(64, len(whole), 97):
        lone.write_bytes(whole[:size])
        try:
            found = open_lone_file(lone)
            found.goldens()
        except ManifestError:
            continue
        assert found.content_sha256 != found.record.content_sha256


def test_a_file_without_metadata_is_named_as_such(tmp_path, bundles):
    path = tmp_path / "plain.onnx"
    path.write_bytes(bundles.decoder_model(bundles.right_weight()).SerializeToString())
    assert not has_record(path)
    with pytest.raises(ManifestError, match=r"plain\.onnx has no pocketvae metadata: verify the bundle"):
        open_lone_file(path)


def test_a_missing_file_and_one_of_another_kind_are_refused(tmp_path):
    with pytest.raises(SpecError, match=r"no\.onnx does not exist"):
        open_lone_file(tmp_path / "no.onnx")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(SpecError, match=r"must end in \.tflite or \.onnx"):
        open_lone_file(tmp_path / "a.txt")
    (tmp_path / "a.tflite").write_text("text that is no model")
    with pytest.raises(ManifestError, match=r"a\.tflite: the file is not a TFLite file"):
        open_lone_file(tmp_path / "a.tflite")


def test_a_record_of_a_newer_pocketvae_is_refused(lone):
    content = lone.read_bytes()
    record = open_lone_file(lone).record
    text = next(
        line for line in (content[content.find(b'{"author"') :].split(b"\x00")[0],) if line.startswith(b'{"author"')
    )
    text = text[: json.JSONDecoder().raw_decode(text.decode("utf-8", errors="ignore"))[1]]
    newer = text.replace(b'"schema_version": 5', b'"schema_version": 9')
    assert newer != text
    checksum = sha256_bytes(text).encode()
    lone.write_bytes(content.replace(text, newer).replace(checksum, sha256_bytes(newer).encode()))
    with pytest.raises(ManifestError, match="has schema_version 9, but this pocketvae reads up to 5"):
        open_lone_file(lone)
    assert record.schema_version == 5


def packed(data, *arrays, sha256=None):
    stored = zlib.compress(data)
    return (
        EmbeddedGoldens(kinds=("a",), inputs=arrays[:1], outputs=arrays[1:], sha256=sha256 or sha256_bytes(stored)),
        stored,
    )


def test_a_payload_that_unpacks_to_more_than_it_says_is_refused():
    array = EmbeddedArray(name="z", dtype="float32", shape=(1, 2))
    with pytest.raises(ValueError, match="8 bytes were expected, found 9"):
        _unpack(*packed(b"\0" * 10_000_000, array))
    with pytest.raises(ValueError, match="8 bytes were expected, found 4"):
        _unpack(*packed(b"\0" * 4, array))


def test_sizes_that_nobody_writes_are_refused():
    with pytest.raises(ManifestError, match="golden 'z' is object"):
        EmbeddedArray(name="z", dtype="object", shape=(1,))
    with pytest.raises(ManifestError, match="which pocketvae does not write"):
        EmbeddedArray(name="z", dtype="float32", shape=(1, -4))
    huge = EmbeddedArray(name="z", dtype="float32", shape=(1, 1 << 40))
    with pytest.raises(ValueError, match="the sizes do not match"):
        _unpack(*packed(b"", huge))


def test_pixels_are_restored_exactly():
    array = EmbeddedArray(name="x", dtype="uint8", shape=(1, 256), scale=1 / 255)
    levels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(restore(levels, array), (levels / 255.0).astype(np.float32))


def test_some_values_are_chosen_from_complete_outputs():
    image = np.arange(2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
    goldens = Goldens(inputs={}, outputs={}, strata=(), steps={"image": 5})
    assert not goldens.is_whole
    chosen = goldens.select({"image": image, "other": image})
    np.testing.assert_array_equal(chosen["image"][0], np.arange(0, 48, 5))
    assert chosen["other"] is image
    assert thin(image, 1) is image
