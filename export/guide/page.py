"""The page EMBED.md: which file for which use, inputs and outputs, and the code."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.export.embed.tensor_docs import tensor_doc
from pocketvae.export.guide import android, cpp, ios, python, web
from pocketvae.export.guide.parts import Part, make_images, parts_of
from pocketvae.spec import Component, Format, PriorKind, TensorSpec

_ORDER = (Component.GENERATOR, Component.DECODER, Component.ENCODER, Component.SAMPLER, Component.PRIOR)


def embed_guide(manifest: Manifest, over_budget: Collection[str] = ()) -> str:
    """Returns EMBED.md as Markdown.

    Args:
        manifest: Of the bundle.
        over_budget: Names of artifacts that miss their budget, which are not recommended.
    """
    tflite, onnx = (_ordered(parts_of(manifest, format, over_budget)) for format in (Format.TFLITE, Format.ONNX))
    lines = [
        f"# Embedding {manifest.name}",
        "",
        "Written by `pocketvae export` from manifest.json: names, shapes, types and numbers are those of the files "
        "beside this page. The Python code, and the JavaScript code for onnxruntime, is run by pocketvae's tests; the "
        "code in other languages follows the interfaces of its libraries and is not run there.",
        "",
        "## Files",
        "",
        *_files(manifest, tflite, onnx),
        "",
        *_generation(manifest),
        "",
        "## Inputs and outputs",
        "",
        *_tensors((*tflite, *onnx)),
        "",
    ]
    if tflite:
        lines += _tflite_code(tflite)
    if onnx:
        lines += _onnx_code(onnx)
    lines += _integers(manifest)
    return "\n".join(lines).rstrip() + "\n"


def _ordered(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: _ORDER.index(part.component)))


def _files(manifest: Manifest, tflite: tuple[Part, ...], onnx: tuple[Part, ...]) -> list[str]:
    rows = [
        f"| {part.component} | `{part.artifact.file.path}` | {part.artifact.file.size_bytes / 1000:.1f} "
        f"| {_needs(part.artifact)} |"
        for part in (*tflite, *onnx)
    ]
    below = ", see [below](#integer-interface)" if any(map(_is_quantized, manifest.artifacts)) else ""
    return [
        "The code uses the smallest file of each component that holds its budget. Any other of the same component "
        f"takes and returns the same, but those with integers or pixels in their interface{below}. MODEL_CARD.md says "
        "which file runs whole on which accelerator: for a GPU take `float16` or `float32`. "
        "`pocketvae verify FILE` checks one file against the golden pairs inside it.",
        "",
        "| component | file | kB | needs at least |",
        "|---|---|---:|---|",
        *rows,
    ]


def _needs(artifact: ArtifactRecord) -> str:
    return f"{artifact.requires.runtime} {artifact.requires.version}" if artifact.requires else "not recorded"


def _generation(manifest: Manifest) -> list[str]:
    vae = manifest.vae
    kinds = {artifact.component for artifact in manifest.artifacts}
    lines = []
    label = ", label" if vae.label_count else ""
    if Component.GENERATOR in kinds:
        lines.append(
            f"To show images, a generator is enough: `generate(seed, index{label})` is image number `index` of the "
            "stream `seed`, any two int32 numbers. The same numbers give the same image on every device, within the "
            "tolerances."
        )
    if Component.DECODER in kinds and vae.prior is PriorKind.STANDARD:
        lines.append(f"For a decoder draw `z`, {vae.latent_dim} numbers, from a standard normal distribution.")
    elif Component.DECODER in kinds:
        source = "`sample(seed, index)` or `transform(eps)`" if Component.SAMPLER in kinds else "`transform(eps)`"
        lines.append(f"For a decoder `z`, {vae.latent_dim} numbers, comes from the learned prior: {source}.")
    if vae.label_count:
        lines.append(f"`label` is the class, 0 to {vae.label_count - 1}.")
    return lines


def _tensors(parts: tuple[Part, ...]) -> list[str]:
    rows: dict[str, None] = {}
    for part in parts:
        for role, tensors in (("input", part.inputs), ("output", part.outputs)):
            for tensor in tensors:
                rows.setdefault(_tensor_row(part, role, tensor))
    head = ["| component | | name | shape | type | meaning | range |", "|---|---|---|---|---|---|---|"]
    return [*head, *rows]


def _tensor_row(part: Part, role: str, tensor: TensorSpec) -> str:
    item = tensor_doc(tensor, part.component, part.vae)
    limits = f"{item.range[0]:g} to {item.range[1]:g}" if item.range and not _is_any(tensor) else "any"
    return (
        f"| {part.component} | {role} | `{tensor.name}` | {list(tensor.shape)} | {tensor.dtype} "
        f"| {_cell(item.meaning)} | {limits} |"
    )


def _is_any(tensor: TensorSpec) -> bool:
    return tensor.name in ("seed", "index")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _tflite_code(parts: tuple[Part, ...]) -> list[str]:
    return [
        *_section("Android, Kotlin", "kotlin", android.kotlin_code(parts), _ANDROID),
        *_section("iOS, Swift, TensorFlow Lite", "swift", ios.tensorflow_lite_code(parts), _IOS),
        *_section("Web, LiteRT.js", "js", web.litert_js_code(parts), _LITERT_JS),
        *_section("C++, LiteRT", "cpp", cpp.litert_code(parts), _CPP),
        *_section("Python, LiteRT", "python", python.litert_code(parts), _python("ai-edge-litert", parts)),
    ]


def _onnx_code(parts: tuple[Part, ...]) -> list[str]:
    return [
        *_section("Web, onnxruntime", "js", web.onnxruntime_web_code(parts), _ORT_WEB),
        *_section("iOS, Swift, onnxruntime", "swift", ios.onnxruntime_code(parts), _ORT_IOS),
        *_section("C++, onnxruntime", "cpp", cpp.onnxruntime_code(parts), _ORT_CPP),
        *_section("Python, onnxruntime", "python", python.onnxruntime_code(parts), _python("onnxruntime", parts)),
    ]


def _python(package: str, parts: tuple[Part, ...]) -> str:
    functions = {part.component: part.function for part in parts}
    label = ", label" if parts[0].vae.label_count else ""
    call = f"generate(seed, index{label})" if Component.GENERATOR in functions else f"decode(z{label})"
    use = f"; `to_pixels({call})` is a picture" if make_images(parts) else ""
    return f"With the package `{package}`, run beside the files{use}:"


def _section(title: str, language: str, code: str, about: str) -> list[str]:
    return [f"## {title}", "", about, "", f"```{language}", code.strip("\n"), "```", ""]


def _integers(manifest: Manifest) -> list[str]:
    artifacts = [artifact for artifact in manifest.artifacts if _is_quantized(artifact)]
    if not artifacts:
        return []
    rows = [
        f"| `{artifact.file.path}` | `{tensor.name}` | {tensor.dtype} | {tensor.quantization.scale!r} "
        f"| {tensor.quantization.zero_point} |"
        for artifact in artifacts
        for tensor in (*artifact.inputs, *artifact.outputs)
        if tensor.quantization
    ]
    chosen = next((item for item in artifacts if item.component is Component.DECODER), artifacts[0])
    return [
        "## Integer interface",
        "",
        "These files take and return integers: real = scale * (integer - zero_point), and the other way round "
        "integer = round(real / scale) + zero_point, kept within the type's limits.",
        "",
        "| file | tensor | type | scale | zero_point |",
        "|---|---|---|---:|---:|",
        *rows,
        "",
        f"In Python, `run` of `{chosen.file.path}` on real numbers:",
        "",
        "```python",
        python.integer_code(chosen).strip("\n"),
        "```",
    ]


def _is_quantized(artifact: ArtifactRecord) -> bool:
    return any(tensor.quantization for tensor in (*artifact.inputs, *artifact.outputs))


_ANDROID = (
    "With the Gradle dependency `com.google.ai.edge.litert:litert`, version 2 or newer, and the files in "
    '`src/main/assets`. Keep them uncompressed: `androidResources { noCompress += "tflite" }`.'
)
_IOS = "With the pod `TensorFlowLiteSwift` and the files among the app's resources:"
_LITERT_JS = "With the npm package `@litertjs/core`; the files lie beside the page:"
_CPP = (
    "With the C++ interface of LiteRT 2 and the library `LiteRt`. Make one `litert::Environment` with "
    "`litert::Environment::Create({})` and keep it as long as the models:"
)
_ORT_WEB = (
    "With the npm package `onnxruntime-web`; the files lie beside the page. `toRgba` makes the bytes of an `ImageData`:"
)
_ORT_IOS = "With the pod `onnxruntime-objc` and the files among the app's resources:"
_ORT_CPP = "With the library and the header of an onnxruntime release. Make one `Ort::Env` and keep it:"
