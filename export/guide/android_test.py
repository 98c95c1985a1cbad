"""An instrumented test for Android: a bundle's files and goldens as assets, and Kotlin that checks them on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pocketvae.bundle.bundle import Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.numerics.metrics import CODES_CHANGED, DECISIONS_CHANGED
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.reporting.escapes import c_identifier
from pocketvae.reporting.templates import render
from pocketvae.runtimes.base import quantize
from pocketvae.spec import Format, TensorSpec
from pocketvae.system.files import check_output, write_bytes
from pocketvae.system.folders import staged_directory
from pocketvae.system.written import check_untouched, file_record, recorded_hashes
from pocketvae.vae_spec import LOG_VAR_ENDING, MEAN_ENDING

_PACKAGE = "pocketvae.parity"
_ASSETS = "pocketvae"
# What tells a folder of this test from any other, and what was written there.
ANDROID_TEST_NAME = "pocketvae-android-test.json"
# What the Kotlin code computes; the others need a picture's structure, or images that the phone does not have.
_METRICS = frozenset(
    {
        "max_abs",
        "mean_abs",
        "rmse",
        "p99_abs",
        "share_off_by_1",
        "share_off_by_4",
        "kl_mean",
        "kl_max",
        CODES_CHANGED,
        DECISIONS_CHANGED,
    }
)
_DTYPES = frozenset({"float32", "int32", "int8", "uint8"})


@dataclass(frozen=True, kw_only=True)
class AssetTensor:
    """A tensor as the Kotlin code reads it.

    Attributes:
        spec: Of the file, for one sample.
        scale: Real numbers are `scale * integer + offset`.
        offset: See `scale`.
        golden: The asset with its values: an input's in the file's own type, an output's as float32.
        step: The asset has every `step`-th value of a sample.
    """

    spec: TensorSpec
    scale: float
    offset: float
    golden: str
    step: int = 1

    @property
    def name(self) -> str:
        """Of the tensor in the file."""
        return self.spec.name

    @property
    def dtype(self) -> str:
        """Numpy name of the element type."""
        return self.spec.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions with a batch of 1."""
        return (1, *self.spec.shape[1:])


@dataclass(frozen=True, kw_only=True)
class AssetCase:
    """One file of the bundle as a test.

    Attributes:
        artifact: Its record.
        count: Samples.
        inputs: Of the file.
        outputs: Of the file.
        limits: What the Kotlin code checks.
    """

    artifact: ArtifactRecord
    count: int
    inputs: tuple[AssetTensor, ...]
    outputs: tuple[AssetTensor, ...]
    limits: tuple[Tolerance, ...]

    @property
    def path(self) -> str:
        """The file's asset."""
        return f"{_ASSETS}/{self.artifact.file.path}"

    @property
    def function(self) -> str:
        """Name of its test."""
        return c_identifier(re.sub(r"[^A-Za-z0-9]+", "_", self.artifact.name))


def write_android_test(bundle: Bundle, folder: Path, *, force: bool = False) -> tuple[str, ...]:
    """Writes the test into a new folder: `androidTest/` and a README.

    Args:
        bundle: Whose files are tested.
        folder: Appears when it is complete.
        force: Replace a folder that exists.

    Returns:
        What is left out, with the reason.

    Raises:
        OutputExistsError: the folder exists and `force` is off, or it holds files of others; see `check_android_test`.
        ManifestError: the bundle's goldens are damaged.
        SpecError: the bundle has no file that the test can run; the message has the reason for each.
    """
    check_android_test(folder, force=force)
    cases, left_out = android_cases(bundle)
    if not cases:
        reasons = "; ".join(left_out) or "the bundle has no files"
        raise SpecError(f"no file of the bundle can be tested on Android: {reasons}")
    page = render("pocketvae.export.guide", "android_test.md.j2", _values(bundle, cases, left_out))
    files = {**android_test_files(bundle, cases), "README.md": page}
    record = file_record(files)
    with staged_directory(folder, force=force) as staging:
        for path, content in {**files, ANDROID_TEST_NAME: record}.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(staging / path, content if isinstance(content, bytes) else content.encode())
    return left_out


def check_android_test(folder: Path, *, force: bool) -> None:
    """Checks, before any work, that the test can be written to a folder.

    Raises:
        OutputExistsError: it exists and `force` is off, or files in it were changed or added since it was written.
        DataError: the folder above it does not exist.
    """
    check_output(folder, force=force)
    check_untouched(folder, recorded_hashes(folder, ANDROID_TEST_NAME))


def android_test_files(bundle: Bundle, cases: Iterable[AssetCase]) -> dict[str, str | bytes]:
    """Returns code and assets of a test by path, beginning with `androidTest/`."""
    cases = tuple(cases)
    values = _values(bundle, cases, ())
    code = f"androidTest/java/{_PACKAGE.replace('.', '/')}"
    files: dict[str, str | bytes] = {
        f"{code}/{name}": render("pocketvae.export.guide", template, values)
        for name, template in (
            ("PocketvaeParityTest.kt", "android_test.kt.j2"),
            ("PocketvaeMetrics.kt", "android_metrics.kt.j2"),
        )
    }
    for case in cases:
        files |= {f"androidTest/assets/{path}": content for path, content in _assets(bundle, case).items()}
    return files


def android_cases(bundle: Bundle) -> tuple[tuple[AssetCase, ...], tuple[str, ...]]:
    """Returns the tests of a bundle, and what is left out with the reason."""
    cases: list[AssetCase] = []
    left_out: list[str] = []
    for artifact in bundle.manifest.artifacts:
        goldens = bundle.goldens(artifact.component)
        reason = _refusal(artifact)
        if reason:
            left_out.append(f"{artifact.name}: {reason}")
            continue
        case = _case(bundle, artifact, goldens)
        cases.append(case)
        skipped = sorted({limit.metric for limit in artifact.tolerances} - _METRICS)
        if skipped:
            left_out.append(f"{artifact.name}: {', '.join(skipped)} (only pocketvae verify checks that)")
    return tuple(cases), tuple(left_out)


def _refusal(artifact: ArtifactRecord) -> str:
    unknown = sorted({item.dtype for item in (*artifact.inputs, *artifact.outputs)} - _DTYPES)
    if unknown:
        return f"LiteRT's Kotlin API does not support tensors of {', '.join(unknown)}"
    if not any(limit.metric in _METRICS for limit in artifact.tolerances):
        return "it has no limit that the test can check"
    return ""


def _case(bundle: Bundle, artifact: ArtifactRecord, goldens: Goldens) -> AssetCase:
    inputs = tuple(_tensor(item, bundle, f"{artifact.name}.{item.name}.bin") for item in artifact.inputs)
    outputs = tuple(
        replace(_tensor(item, bundle, f"{artifact.component}.{item.name}.bin"), step=goldens.steps.get(item.name, 1))
        for item in artifact.outputs
    )
    return AssetCase(
        artifact=artifact,
        count=goldens.count,
        inputs=inputs,
        outputs=outputs,
        limits=tuple(limit for limit in artifact.tolerances if limit.metric in _METRICS),
    )


def _tensor(spec: TensorSpec, bundle: Bundle, golden: str) -> AssetTensor:
    scale, offset = 1.0, 0.0
    if spec.holds_pixels:
        low, high = bundle.manifest.vae.data_range
        scale, offset = (high - low) / 255, low
    elif spec.quantization is not None:
        scale = spec.quantization.scale
        offset = -spec.quantization.zero_point * scale
    return AssetTensor(spec=spec, scale=float(scale), offset=float(offset), golden=f"{_ASSETS}/{golden}")


def _assets(bundle: Bundle, case: AssetCase) -> dict[str, bytes]:
    goldens, image_range = bundle.goldens(case.artifact.component), bundle.manifest.vae.data_range
    files = {case.path: bundle.artifact_path(case.artifact).read_bytes()}
    for item in case.inputs:
        values = quantize(np.asarray(goldens.inputs[item.name]), item.spec, image_range)
        files[item.golden] = _little_endian(values)
    for item in case.outputs:
        files[item.golden] = _little_endian(goldens.outputs[item.name].astype(np.float32))
    return files


def _little_endian(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()


def _values(bundle: Bundle, cases: Iterable[AssetCase], left_out: Iterable[str]) -> dict[str, object]:
    cases = tuple(cases)
    formats = {case.artifact.format for case in cases}
    return {
        "name": bundle.manifest.name,
        "cases": cases,
        "left_out": tuple(left_out),
        "has_tflite": Format.TFLITE in formats,
        "has_onnx": Format.ONNX in formats,
        "image_span": bundle.manifest.vae.range_span,
        "mean_ending": MEAN_ENDING,
        "log_var_ending": LOG_VAR_ENDING,
    }
