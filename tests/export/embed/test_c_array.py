"""TFLite files as C++ source."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.demo import demo_folder
from pocketvae.bundle.manifest import ArtifactRecord, FileRecord
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import ManifestError, OutputExistsError, SpecError
from pocketvae.export.convert.batches_tflite import add_batches
from pocketvae.export.embed.c_array import c_header, c_source, c_stem, embed_in_c, embedded
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.spec import Component, Format, Precision, Quantization, TensorSpec
from pocketvae.system.files import sha256_bytes
from tests.tflite_models import decoder

CONTENT = decoder(np.linspace(-1, 1, 108).reshape(3, 36), 6)


def record(content=CONTENT):
    scale = Quantization(scale=1e-05, zero_point=-128)
    return ArtifactRecord(
        component=Component.DECODER,
        precision=Precision.INT8_IO,
        format=Format.TFLITE,
        file=FileRecord(path="decoder.int8_io.tflite", sha256=sha256_bytes(content), size_bytes=len(content)),
        inputs=(TensorSpec(name="z", dtype="int8", shape=(1, 3), quantization=scale),),
        outputs=(TensorSpec(name="image", dtype="int8", shape=(1, 6, 6, 1), quantization=scale),),
        tolerances=(),
    )


@pytest.fixture
def bundle(tmp_path, bundles):
    """A bundle that records a TFLite file too."""
    folder = bundles.make_bundle(tmp_path / "b")
    manifest = open_bundle(folder).manifest
    (folder / "decoder.int8_io.tflite").write_bytes(CONTENT)
    (folder / "manifest.json").write_text(encode(replace(manifest, artifacts=(*manifest.artifacts, record()))))
    return folder


def test_the_source_holds_every_byte():
    source = c_source(record(), CONTENT)
    assert bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", source)) == CONTENT
    assert f"alignas(16) const unsigned char decoder_int8_io_data[{len(CONTENT)}]" in source


def test_other_batch_sizes_take_no_flash_and_no_memory():
    several = add_batches(CONTENT, (1, 8))
    content, note = embedded(several)
    assert len(read_operators(content)) == 1
    assert note == "// Without its other batch sizes.\n"
    assert embedded(CONTENT) == (CONTENT, "")


def test_each_file_has_its_own_names():
    assert c_stem("decoder.int8.tflite") == "decoder_int8"
    assert c_stem("decoder.int8.uint8.tflite") == "decoder_int8_uint8"
    assert c_stem(record().name) == "decoder_int8_io"


def test_files_that_others_put_beside_it_stay(bundle, tmp_path):
    for _ in range(2):
        embed_in_c(bundle, "decoder.int8_io.tflite", tmp_path / "fw", force=True)
    (tmp_path / "fw/main.cc").write_text("mine")
    with pytest.raises(OutputExistsError, match="files of yours, which --force would delete: main.cc; choose another"):
        embed_in_c(bundle, "decoder.int8_io.tflite", tmp_path / "fw", force=True)
    assert (tmp_path / "fw/main.cc").read_text() == "mine"


def test_the_header_holds_the_interface():
    header = c_header(record(), CONTENT, len(CONTENT))
    assert f"constexpr std::size_t decoder_int8_io_size_bytes = {len(CONTENT)};" in header
    assert "constexpr std::size_t decoder_int8_io_output_image_elements = 36;" in header
    assert "constexpr float decoder_int8_io_input_z_scale = 1e-05f;" in header
    assert "constexpr std::int32_t decoder_int8_io_input_z_zero_point = -128;" in header
    assert sha256_bytes(CONTENT) in header


def test_the_header_numbers_inputs_and_outputs_as_the_file_lists_them():
    bundle = open_bundle(demo_folder())
    encoder = bundle.manifest.artifact("encoder.int8.tflite")
    header = c_header(encoder, bundle.artifact_path(encoder).read_bytes(), 1)
    assert [item.name for item in encoder.outputs] == ["z_mean", "z_log_var"]
    assert "// output 1: z_mean, float32[1, " in header
    assert "constexpr std::size_t encoder_int8_output_z_mean_index = 1;" in header
    assert "constexpr std::size_t encoder_int8_output_z_log_var_index = 0;" in header


def test_a_file_without_a_tensor_of_the_manifest_is_refused():
    other = replace(record(), outputs=(replace(record().outputs[0], name="picture"),))
    with pytest.raises(ManifestError, match="has no input or output 'picture', of which the manifest tells"):
        c_header(other, CONTENT, 1)


def test_a_compiler_takes_it_and_finds_the_same_bytes(bundle, tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed")
    header, source = embed_in_c(bundle, "decoder.int8_io.tflite", tmp_path / "firmware")
    (tmp_path / "main.cc").write_text(
        '#include <cstdio>\n#include "decoder_int8_io.h"\nint main() {\n'
        '  static_assert(decoder_int8_io_input_z_zero_point == -128, "");\n'
        "  if (reinterpret_cast<std::uintptr_t>(decoder_int8_io_data) % 16) return 1;\n"
        "  std::fwrite(decoder_int8_io_data, 1, decoder_int8_io_size_bytes, stdout);\n}\n"
    )
    options = ["-std=c++11", "-Wall", "-Wextra", "-Werror", f"-I{header.parent}", "-o", str(tmp_path / "program")]
    subprocess.run([compiler, *options, str(tmp_path / "main.cc"), str(source)], check=True)
    assert subprocess.run([tmp_path / "program"], capture_output=True, check=True).stdout == CONTENT


def test_the_command_writes_both_files(bundle, tmp_path, capsys):
    out = tmp_path / "firmware"
    assert main(["embed-c", str(bundle), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["decoder_int8_io.cc", "decoder_int8_io.h"]
    assert main(["embed-c", str(bundle), "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["embed-c", str(bundle), "--out", str(out), "--force"]) == 0
    other = tmp_path / "precious"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert main(["embed-c", str(bundle), "--out", str(other), "--force"]) == 2
    assert (other / "thesis.txt").exists()


def test_what_is_no_tflite_file_of_the_bundle_is_refused(bundle, tmp_path):
    with pytest.raises(SpecError, match="only TFLite files can be embedded in firmware, got decoder.float32.onnx"):
        embed_in_c(bundle, "decoder.float32.onnx", tmp_path / "o")
    with pytest.raises(ManifestError, match=r"has no artifact 'decoder\.int4\.tflite': did you mean 'decoder\.int"):
        embed_in_c(bundle, "decoder.int4.tflite", tmp_path / "o")
    (tmp_path / "o").mkdir()
    with pytest.raises(OutputExistsError):
        embed_in_c(bundle, "decoder.int8_io.tflite", tmp_path / "o")
