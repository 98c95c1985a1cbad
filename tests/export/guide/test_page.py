"""EMBED.md: what it names, and that compilers take the code in it. test_code.py runs what can be run here."""

import json
import math
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.manifest import ArtifactRecord, CalibrationRecord, FileRecord, Manifest
from pocketvae.export.guide import embed_guide, recommended
from pocketvae.export.guide.page import image_values
from pocketvae.export.guide.parts import Part
from pocketvae.fields import Channel
from pocketvae.numerics.pixels import to_pixels
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.outputs import Meaning, Output
from pocketvae.portability.records import Backend, Portability, Requirement
from pocketvae.reporting.escapes import kt_string
from pocketvae.reporting.templates import render
from pocketvae.spec import (
    ArtifactSpec,
    Component,
    Format,
    ImageDtype,
    Precision,
    Quantization,
    TensorSpec,
    unsupported_reason,
)
from pocketvae.vae_spec import (
    Condition,
    ConditionKind,
    DataKind,
    Latent,
    Likelihood,
    PosteriorKind,
    PriorKind,
    VaeSpec,
    class_label,
    vector_latent,
)


def outputs(vae, component):
    shapes = {vae.output: (1, *vae.tensor_shape(Component.DECODER)), "score": (1,), "alarm": (1,)}
    shapes["contributions"] = (1, vae.parts_of_score)
    shapes |= {output.name: output.tensor.shape for output in vae.more_outputs}
    dtypes = {"alarm": "int32", **{latent.name: latent.tensor.dtype for latent in vae.latents}}
    return tuple(
        TensorSpec(name=name, dtype=dtypes.get(name, "float32"), shape=shapes.get(name, (1, vae.latent_dim)))
        for name in vae.output_names(component)
    )


def record(vae, component, format, precision, whole=True):
    spec = ArtifactSpec(component=component, precision=precision, format=format)
    inputs = vae.inputs(component)
    if precision is Precision.INT8_IO:
        scale = Quantization(scale=0.03125, zero_point=-3)
        inputs = (TensorSpec(name=inputs[0].name, dtype="int8", shape=inputs[0].shape, quantization=scale), *inputs[1:])
    return ArtifactRecord(
        component=component,
        precision=precision,
        format=format,
        file=FileRecord(path=spec.filename, sha256="0" * 64, size_bytes=12_345),
        inputs=inputs,
        outputs=outputs(vae, component),
        tolerances=(Tolerance(output="image", metric="max_abs", limit=1e-5, source="test"),),
        requires=Requirement(runtime="TensorFlow Lite", version="2.5.0", reason="test"),
        portability=(
            Portability(backend=Backend.XNNPACK, operators=2, taken=2 if whole else 1, falls_off=(), source="test"),
        ),
    )


def manifest(vae, precisions=tuple(Precision), components=None, formats=tuple(Format)):
    artifacts = tuple(
        record(vae, component, format, precision)
        for component in components or vae.exports
        for format in formats
        for precision in precisions
        if unsupported_reason(format, precision, component) is None
    )
    return Manifest(
        name="some-model",
        vae=vae,
        artifacts=artifacts,
        goldens=(),
        calibration=CalibrationRecord(seed=0, latents=(), image_count=0, sha256=""),
        original={},
    )


VAES = {
    "grey": VaeSpec(data_shape=(28, 28, 1), latents=vector_latent(16)),
    "colour": VaeSpec(data_shape=(8, 12, 3), latents=vector_latent(5), data_range=(-1.0, 1.0)),
    "conditional": VaeSpec(
        data_shape=(28, 28, 1), latents=vector_latent(4), conditions=class_label(10), prior=PriorKind.MIXTURE
    ),
    "conditions": VaeSpec(
        data_shape=(28, 28, 1),
        latents=vector_latent(4),
        conditions=(
            Condition(name="digit_class", count=10),
            Condition(name="pose", kind=ConditionKind.CONTINUOUS, shape=(3,), range=(-1.0, 1.0)),
        ),
    ),
    "levels": VaeSpec(
        data_shape=(28, 28, 1),
        latents=(Latent(name="z_top", shape=(4,)), Latent(name="z_bottom", shape=(2, 2, 3))),
    ),
    "codes": VaeSpec(
        data_shape=(28, 28, 1),
        latents=(Latent(shape=(7, 7), codes=64),),
        prior=PriorKind.UNIFORM,
        posterior=PosteriorKind.NONE,
    ),
    "grids": VaeSpec(
        data_shape=(28, 28, 1),
        latents=(Latent(name="top", shape=(7, 7), codes=64), Latent(name="bottom", shape=(14, 14), codes=32)),
        prior=PriorKind.UNIFORM,
        posterior=PosteriorKind.NONE,
    ),
    "mixed": VaeSpec(
        data_shape=(28, 28, 1),
        latents=(Latent(name="codes", shape=(7, 7), codes=64), Latent(name="style", shape=(3,))),
    ),
    "outputs": VaeSpec(
        data_shape=(28, 28, 1),
        latents=vector_latent(4),
        more_outputs=(
            Output(name="x_log_var", data=DataKind.IMAGE, shape=(28, 28, 1), meaning=Meaning.LOG_VAR),
            Output(name="values", data=DataKind.VECTOR, shape=(10,), meaning=Meaning.LOGITS, range_is_strict=False),
            Output(name="slant", data=DataKind.VECTOR, shape=()),
        ),
    ),
    # Names of the code itself, and an encoder of five outputs of two types.
    "names": VaeSpec(
        data_shape=(28, 28, 1),
        latents=(
            Latent(name="codes", shape=(7, 7), codes=64),
            Latent(name="inputs", shape=(3,)),
            Latent(name="model", shape=(2,)),
        ),
        more_outputs=(Output(name="outputs", data=DataKind.VECTOR, shape=(2,)),),
    ),
    # Names that the code derives from those of others, or spells as others.
    "clashes": VaeSpec(
        data_shape=(28, 28, 1),
        latents=tuple(
            Latent(name=name, shape=(size,))
            for size, name in enumerate(("z", "z_shape", "z_value", "z_buffer", "z_1", "z1"), 2)
        ),
        more_outputs=tuple(
            Output(name=name, data=DataKind.VECTOR, shape=(2,))
            for name in ("mask", "mask_data", "mask_buffer", "std", "size_t", "int64_t")
        ),
    ),
    "flat": VaeSpec(data_shape=(28, 28, 1), latents=vector_latent(2), flat=(Component.ENCODER, Component.DECODER)),
}


STREAM = VaeSpec(
    data=DataKind.SEQUENCE,
    data_shape=(8, 2),
    latents=vector_latent(4),
    likelihood=Likelihood.GAUSSIAN,
    channels=(Channel(name="vibration", noise_scale=0.1), Channel(name="current", mean=12.0, noise_scale=0.2)),
    range_is_strict=False,
)


def stream_guide():
    return embed_guide(manifest(STREAM, components=(Component.SCORER, Component.RECONSTRUCTOR, *STREAM.exports)))


def stream_blocks(language):
    return [code for found, code in code_blocks(stream_guide()) if found == language]


def code_blocks(text):
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(params=VAES)
def guide(request):
    return embed_guide(manifest(VAES[request.param])), VAES[request.param]


# The languages of each format's code, in the page's order; that of the integer interface comes behind.
LANGUAGES = {
    Format.TFLITE: ("kotlin", "swift", "js", "cpp", "python"),
    Format.ONNX: ("js", "swift", "cpp", "python"),
}


def test_every_platform_has_its_code(guide):
    titles = re.findall(r"^## (.+)$", guide[0], re.MULTILINE)
    assert titles == [
        "Files",
        "Inputs and outputs",
        "Android, Kotlin",
        "iOS, Swift, TensorFlow Lite",
        "Web, LiteRT.js",
        "C++, LiteRT",
        "Python, LiteRT",
        "Web, onnxruntime",
        "iOS, Swift, onnxruntime",
        "C++, onnxruntime",
        "Python, onnxruntime",
        "Integer interface",
    ]
    expected = [*LANGUAGES[Format.TFLITE], *LANGUAGES[Format.ONNX], "python"]
    assert [language for language, _ in code_blocks(guide[0])] == expected


def test_every_tensor_and_file_is_in_every_languages_code(guide):
    text, vae = guide
    formats = [format for format, languages in LANGUAGES.items() for _ in languages]
    for format, (language, code) in zip(formats, code_blocks(text)[:-1], strict=True):
        (other,) = set(Format) - {format}
        for component in vae.exports:
            stem = f"{component}.{'float32' if component in (Component.PRIOR, Component.SAMPLER) else 'int8'}"
            file = f'"{stem}", ofType: "' if language == "swift" else f"{stem}."
            assert f"{file}{format}" in code, (language, component)
            assert f"{file}{other}" not in code, (language, component)
            for tensor in (*vae.inputs(component), *outputs(vae, component)):
                assert re.search(rf"\b{tensor.name}\b", code), (language, tensor.name)


def test_code_returns_several_posteriors_and_integer_codes_as_what_they_are():
    levels, codes = (embed_guide(manifest(VAES[name])) for name in ("levels", "codes"))
    assert "`z_top`, 4 numbers, and `z_bottom`, 12 numbers, from a standard normal distribution" in levels
    for text in (
        "fun encode(x: FloatArray): List<FloatArray>",
        "std::vector<std::vector<float>> encode(",
        "-> (zTopMean: [Float], zTopLogVar: [Float], zBottomMean: [Float], zBottomLogVar: [Float])",
    ):
        assert text in levels
    for text in (
        "fun encode(x: FloatArray): IntArray",
        "return zBuffer.readInt()",
        "std::vector<int32_t> encode(",
        "Read<int32_t>(",
        "-> [Int32]",
    ):
        assert text in codes


def test_kotlin_code_returns_any_number_of_outputs_of_two_types():
    three, five = (embed_guide(manifest(VAES[name])) for name in ("mixed", "names"))
    assert "fun encode(x: FloatArray): Triple<IntArray, FloatArray, FloatArray>" in three
    assert "return Triple(codesBuffer.readInt(), " in three
    assert "fun encode(x: FloatArray): List<Any>" in five
    assert "return listOf(codesBuffer.readInt(), " in five


def test_names_of_the_code_itself_are_not_hidden_by_tensors():
    page = embed_guide(manifest(VAES["names"]))
    for text in (
        "fun decode(codes: IntArray, inputs: FloatArray, model_: FloatArray)",
        "func decode(codes: [Int32], inputs: [Float], model_: [Float])",
        "input_buffers_(value(model_.CreateInputBuffers()))",
    ):
        assert text in page, text


def test_cpp_code_takes_items_without_a_copy():
    page = embed_guide(manifest(VAES["grey"]))
    assert page.count(" encode(const std::array<float, 784>& x) {") == 2
    assert page.count(" generate(std::array<int32_t, 1> seed, std::array<int32_t, 1> index) {") == 2


def test_code_returns_all_of_several_outputs_and_says_which_are_the_data():
    page = embed_guide(manifest(VAES["outputs"]))
    for text in (
        "fun decode(z: FloatArray): List<FloatArray>",
        "-> (image: [Float], xLogVar: [Float], values: [Float], slant: [Float])",
        "return {image, x_log_var, values_, slant}",
        'return outputs["image"], outputs["x_log_var"], outputs["values"], outputs["slant"]',
        "`to_pixels(generate(seed, index)[0])` is a picture",
        "| decoder | output | `x_log_var` | [1, 28, 28, 1] | float32 | logarithm of the variance of p(x\\|z), "
        "the noise of the image: 28x28, grey | any |",
        "| decoder | output | `values` | [1, 10] | float32 | logits of 10 classes | any |",
        "| decoder | output | `slant` | [1] | float32 | a further output of the decoder: one number | 0 to 1 |",
    ):
        assert text in page, text


def write_blocks(guide, language, folder, ending):
    blocks = [code for found, code in code_blocks(guide) if found == language]
    paths = [folder / f"{number}.{ending}" for number in range(len(blocks))]
    for path, code in zip(paths, blocks, strict=True):
        path.write_text(code, "utf-8")
    assert blocks
    return paths


# These are enough for every branch of a template: labels and one channel, several channels and none, several outputs.
COMPILED = ("colour", "conditional", "outputs", "names", "clashes")


@pytest.mark.parametrize("name", COMPILED)
def test_cpp_code_compiles(tmp_path, compile_cpp, name):
    compile_cpp(*write_blocks(embed_guide(manifest(VAES[name])), "cpp", tmp_path, "cpp"))


def test_swift_code_has_right_types(guide, tmp_path, check_swift):
    check_swift(*write_blocks(guide[0], "swift", tmp_path, "swift"))


def test_what_would_not_compile_in_swift_is_noticed(tmp_path, check_swift):
    path = tmp_path / "wrong.swift"
    path.write_text(
        "import TensorFlowLite\n\nfunc f(_ r: SignatureRunner) throws { try r.invoke(with: [1]) }\n", "utf-8"
    )
    with pytest.raises(AssertionError, match="cannot be used with array literal"):
        check_swift(path)


LITERALS = ('a"b\\', "${x} $y", "line\nbreak", "\u2028\x07", "grün 🙂")


def hostile_part(vae, format):
    """A part whose file and tensors have names that would end a string, a comment or a line of code."""
    plain = record(vae, Component.DECODER, format, Precision.FLOAT32)
    (image,) = plain.outputs
    inputs = tuple(replace(item, name=f'{item.name} "); /* */ // \\ ${{x}} `|\n') for item in plain.inputs)
    outputs = (replace(image, name='a"b'), replace(image, name="class"))
    path = f'a "b" (c) ${{d}}\n\u2028.{format}'
    artifact = replace(plain, inputs=inputs, outputs=outputs, file=replace(plain.file, path=path))
    return Part(artifact=artifact, vae=vae)


def hostile_code(template, format=Format.TFLITE):
    vae = VAES["conditional"]
    values = image_values(vae) | {"parts": (hostile_part(vae, format),), "makes_images": True}
    return render("pocketvae.export.guide", template, values)


@pytest.mark.parametrize("template", ["python_litert.py.j2", "python_onnxruntime.py.j2"])
def test_foreign_names_do_not_break_out_of_python(template):
    compile(hostile_code(template), "EMBED.md", "exec")


@pytest.mark.parametrize("template", ["app_litert.cpp.j2", "app_onnxruntime.cpp.j2"])
def test_foreign_names_do_not_break_out_of_cpp(template, tmp_path, compile_cpp):
    (tmp_path / "a.cpp").write_text(hostile_code(template), "utf-8")
    compile_cpp(tmp_path / "a.cpp")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("template", ["web_litert.mjs.j2", "web_onnxruntime.mjs.j2"])
def test_foreign_names_do_not_break_out_of_javascript(template, tmp_path):
    (tmp_path / "a.mjs").write_text(hostile_code(template), "utf-8")
    done = subprocess.run(
        ["node", "--check", tmp_path / "a.mjs"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_foreign_names_do_not_break_out_of_markdown():
    found = manifest(VAES["grey"], precisions=(Precision.FLOAT32,), components=(Component.DECODER,))
    text = embed_guide(replace(found, name="a\n\n## b `c`"))
    assert text.startswith("# Embedding a ## b \\`c\\`\n")
    assert not re.search("^## b", text, re.MULTILINE)


def half_steps(vae):
    """Returns an image of numbers half a step between two pixels and beside that, and of some that are none."""
    low, high = vae.data_range
    halves = (low + (np.arange(-1, 256) + 0.5) * (high - low) / 255).astype(np.float32)
    near = np.stack([np.nextafter(halves, np.float32(-np.inf)), halves, np.nextafter(halves, np.float32(np.inf))])
    values = np.concatenate([np.float32([np.nan, np.inf, -np.inf, 1e30]), near.T.ravel()])
    return np.resize(values, math.prod(vae.image_shape))


@pytest.mark.slow
def test_kotlin_code_compiles(tmp_path, compile_kotlin):
    paths = []
    for name in COMPILED:
        ((_, code),) = [block for block in code_blocks(embed_guide(manifest(VAES[name]))) if block[0] == "kotlin"]
        paths.append(tmp_path / f"{name}.kt")
        paths[-1].write_text(f"package {name}\n\n{code}", "utf-8")
    paths.append(tmp_path / "stream.kt")
    paths[-1].write_text(f"package stream\n\n{stream_blocks('kotlin')[0]}", "utf-8")
    paths.append(tmp_path / "hostile.kt")
    paths[-1].write_text(f"package hostile\n\n{hostile_code('android.kt.j2')}", "utf-8")
    texts = ", ".join(map(kt_string, LITERALS))
    paths.append(tmp_path / "literals.kt")
    lines = "map { text -> text.map { it.code }.joinToString() }.forEach(::println)"
    paths[-1].write_text(f"fun main() = listOf({texts}).{lines}\n", "utf-8")
    values = half_steps(VAES["colour"])
    words = {"nanf": "Float.NaN", "inff": "Float.POSITIVE_INFINITY", "-inff": "Float.NEGATIVE_INFINITY"}
    numbers = ", ".join(words.get(text, text) for text in (f"{value!r}f" for value in values.tolist()))
    paths.append(tmp_path / "drawn.kt")
    paths[-1].write_text(
        f"fun drawn() {{\n    val bitmap = colour.toBitmap(floatArrayOf({numbers}))\n"
        "    println((0 until 8).flatMap { y -> (0 until 12).map { x -> bitmap.getPixel(x, y) and 0xffffff } })\n}\n"
    )
    paths[-2].write_text(paths[-2].read_text("utf-8").replace("println)", "println).also { drawn() }"), "utf-8")
    *printed, drawn = compile_kotlin(*paths, main="LiteralsKt").splitlines()
    expected = to_pixels(np.nan_to_num(values, nan=-1.0), (-1.0, 1.0)).reshape(-1, 3)
    assert json.loads(drawn) == (expected.astype(int) @ [1 << 16, 1 << 8, 1]).tolist()
    units = [memoryview(text.encode("utf-16-le")).cast("H").tolist() for text in LITERALS]
    assert printed == [", ".join(map(str, each)) for each in units]


def test_python_code_compiles(guide):
    blocks = [code for language, code in code_blocks(guide[0]) if language == "python"]
    assert len(blocks) == 3
    for code in blocks:
        compile(code, "EMBED.md", "exec")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_code_parses(guide, tmp_path):
    for number, code in enumerate(code for language, code in code_blocks(guide[0]) if language == "js"):
        path = tmp_path / f"{number}.mjs"
        path.write_text(code)
        done = subprocess.run(["node", "--check", path], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


def test_labels_and_the_learned_prior_are_explained():
    text = embed_guide(manifest(VAES["conditional"]))
    assert "`label` is the class, 0 to 9." in text
    assert "comes from the learned prior: `sample(seed, index)` or `transform(eps)`" in text
    assert "`to_pixels(generate(seed, index, label))` is a picture" in text
    assert "standard normal distribution" not in text
    assert "draw `z`, 16 numbers, from a standard normal" in embed_guide(manifest(VAES["grey"]))


def test_the_range_of_pixels_is_the_models():
    text = embed_guide(manifest(VAES["colour"]))
    assert "np.asarray(image, np.float32) * np.float32(127.5) + np.float32(128.0)" in text
    assert "-1 is black, 1 is white" in text


def test_the_integer_interface_has_the_files_own_numbers():
    text = embed_guide(manifest(VAES["grey"]))
    assert "| `decoder.int8_io.tflite` | `z` | int8 | 0.03125 | -3 |" in text
    assert "quantize(np.asarray(z).reshape((1, 16)), 0.03125, -3, np.int8)" in text
    plain = manifest(VAES["grey"], precisions=(Precision.FLOAT32,))
    assert "Integer interface" not in embed_guide(plain).replace("(#integer-interface)", "")


def test_only_what_the_bundle_has_is_shown():
    text = embed_guide(manifest(VAES["grey"], components=(Component.ENCODER,), formats=(Format.ONNX,)))
    assert "Kotlin" not in text
    assert "to_pixels" not in text
    assert "encode(x)" in text
    assert "decode" not in text.replace("decoded", "")


def pixel_record(vae, component, format):
    """A file with pixels in the place of floats."""
    plain = record(vae, component, format, Precision.INT8)
    spec = ArtifactSpec(component=component, precision=Precision.INT8, format=format, image_dtype=ImageDtype.UINT8)
    inputs, tensors = (
        tuple(replace(item, dtype="uint8") if item.name in ("x", "image") else item for item in items)
        for items in (plain.inputs, plain.outputs)
    )
    file = replace(plain.file, path=spec.filename)
    return replace(plain, file=file, image_dtype=ImageDtype.UINT8, inputs=inputs, outputs=tensors)


PIXEL_PARTS = (Component.GENERATOR, Component.DECODER, Component.ENCODER)


def test_files_with_pixels_are_listed_with_shapes_and_types():
    vae = VAES["grey"]
    pixels = tuple(pixel_record(vae, component, format) for component in PIXEL_PARTS for format in Format)
    plain = manifest(vae, precisions=(Precision.FLOAT32,))
    page = embed_guide(replace(plain, artifacts=(*plain.artifacts, *pixels)))
    assert "or pixels ([below](#pixels)) in their interface" in page
    section = page.split("\n## Pixels\n")[1].split("\n## ")[0]
    for line in (
        "| generator | `generator.int8.uint8.tflite` | 12.3 | TensorFlow Lite 2.5.0 |",
        "| `generator.int8.uint8.tflite` | input | `seed` | [1] | int32 |",
        "| `decoder.int8.uint8.onnx` | output | `image` | [1, 28, 28, 1] | uint8 |",
        "| `encoder.int8.uint8.onnx` | input | `x` | [1, 28, 28, 1] | uint8 |",
    ):
        assert line in section.splitlines()
    assert "`generate(seed, index)` is image number" in page
    assert "## Pixels" not in embed_guide(plain)


def test_no_function_is_promised_that_the_page_does_not_have():
    vae = VAES["conditional"]
    pixels = tuple(pixel_record(vae, component, format) for component in PIXEL_PARTS for format in Format)
    alone = replace(manifest(vae), artifacts=pixels)
    for page in (embed_guide(alone), embed_guide(replace(alone, vae=VAES["grey"]))):
        assert not re.search(r"`(generate|decode|sample|transform)\(", page)
        assert "A generator makes image number `index` of the stream `seed`" in page
        assert code_blocks(page) == []
        assert "Python code" not in page
        assert "Inputs and outputs" not in page
    assert "from the learned prior." in embed_guide(alone)
    some = manifest(vae, components=(Component.SAMPLER,))
    page = embed_guide(replace(some, artifacts=(*some.artifacts, *pixels)))
    assert "from the learned prior: `sample(seed, index)`." in page
    assert {name for name in ("generate", "sample") if f"fun {name}(" in page} == {"sample"}
    assert "generate(" not in page


def test_a_scorer_can_become_firmware(guide):
    page = embed_guide(manifest(STREAM, components=(Component.SCORER, *STREAM.exports)))
    assert "`pocketvae firmware BUNDLE --component scorer --out firmware`" in page
    assert "a ring buffer" in page
    assert "pocketvae firmware" not in guide


def test_the_recommended_file_is_small_within_its_budget_and_fast():
    found = manifest(VAES["grey"])
    choose = lambda *over: recommended(found, Component.DECODER, Format.TFLITE, over).precision  # noqa: E731
    assert choose() is Precision.INT8
    assert choose("decoder.int8.tflite") is Precision.DYNAMIC_INT8
    assert choose("decoder.int8.tflite", "decoder.dynamic_int8.tflite") is Precision.FLOAT16
    assert recommended(found, Component.PRIOR, Format.TFLITE, ()) is None


def test_a_file_that_xnnpack_leaves_is_not_recommended():
    vae = VAES["grey"]
    slow, fast = (
        record(vae, Component.DECODER, Format.TFLITE, precision, whole)
        for precision, whole in ((Precision.INT8, False), (Precision.FLOAT32, True))
    )
    found = manifest(vae, precisions=(Precision.FLOAT32,))
    found = type(found)(**{**vars(found), "artifacts": (slow, fast)})
    assert recommended(found, Component.DECODER, Format.TFLITE, ()) is fast


def test_no_address_is_in_the_text(guide):
    assert "://" not in guide[0]
