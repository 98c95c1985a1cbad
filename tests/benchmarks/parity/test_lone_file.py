import dataclasses
import shutil

import numpy as np
import pytest

from pocketvae.benchmarks import junit_xml, verify_bundle, verify_file
from pocketvae.benchmarks.parity import lone_file
from pocketvae.benchmarks.parity.results import Culprit, Verdict
from pocketvae.benchmarks.parity.tables import verify_table
from pocketvae.benchmarks.targets.host import HostTarget
from pocketvae.errors import ManifestError, SpecError
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Component, Format, Precision


def failed(result):
    return {(check.artifact, check.metric) for check in result.checks if not check.passed}


@pytest.fixture
def make(tmp_path, bundles, tflite_models, lone_files):
    """Makes a file whose weights and golden pairs need not belong together."""

    def made(format=Format.ONNX, weight=None, **options):
        weight = bundles.right_weight() if weight is None else weight
        if format is Format.TFLITE:
            content = tflite_models.decoder(weight, bundles.SIDE)
        else:
            content = bundles.decoder_model(weight).SerializeToString()
        path = tmp_path / f"mine.{format}"
        path.write_bytes(lone_files.signed(tmp_path, format, content, bundles.right_weight(), **options))
        return path

    return made


@pytest.mark.parametrize("format", Format)
def test_a_right_file_passes_every_check(make, format):
    result = verify_file(make(format)).result
    assert result.passed
    assert result.bundle == "tiny"
    assert {check.metric for check in result.checks} == {
        "content",
        "loads",
        "interface",
        "finite",
        "range",
        "max_abs",
    }
    assert result.artifacts() == (f"decoder.float32.{format}",)


@pytest.mark.parametrize("format", Format)
def test_a_changed_weight_is_seen_by_its_hash_and_by_its_value(make, format, bundles):
    path = make(format)
    weight = bundles.right_weight()
    stored = (weight.T if format is Format.TFLITE else weight).astype("<f4").tobytes()
    changed = weight.copy()
    changed[1, 7] += 1e-2
    other = (changed.T if format is Format.TFLITE else changed).astype("<f4").tobytes()
    assert path.read_bytes().count(stored) == 1
    path.write_bytes(path.read_bytes().replace(stored, other))
    result = verify_file(path).result
    assert not result.passed
    assert {metric for _, metric in failed(result)} == {"content", "max_abs"}
    (content,) = [check for check in result.checks if check.metric == "content"]
    assert content.detail == "the model in the file was changed after export: its SHA-256 differs"
    (diagnosis,) = result.diagnoses
    assert (diagnosis.culprit, diagnosis.evidence) == (
        Culprit.FILE,
        ("the file itself changed after export: copy or export it again",),
    )


def test_a_file_that_never_met_its_limits_fails_alone_too(make, bundles):
    weight = bundles.right_weight().copy()
    weight[0] += 0.1
    result = verify_file(make(weight=weight)).result
    assert failed(result) == {("decoder.float32.onnx", "max_abs")}
    assert "a single file comes with no decoder.float32.tflite to compare with" in result.diagnoses[0].evidence


def test_a_file_without_golden_pairs_does_not_pass(make, lone_files):
    result = verify_file(make(statement=dataclasses.replace(lone_files.STATEMENT, with_goldens=False))).result
    assert not result.passed
    assert [item.reason for item in result.not_run] == [
        "the file was exported without golden pairs: verify the bundle that it came from"
    ]
    assert failed(result) == set()


def test_a_target_that_supports_no_such_file_does_not_look_like_a_pass(make, bundles, monkeypatch):
    class Picky(HostTarget):
        name = "picky"

        def declines(self, artifact):
            return "it runs no ONNX"

    make_target = lone_file.make_target
    monkeypatch.setattr(lone_file, "make_target", lambda name: Picky() if name == "picky" else make_target(name))
    path = make()
    alone = verify_file(path, targets=("picky",)).result
    assert (alone.verdict, alone.checks) == (Verdict.INCOMPLETE, ())
    assert "pass" not in [row[-1] for row in verify_table(alone)[1]]
    assert 'errors="1"' in junit_xml(alone)
    both = verify_file(path, targets=("host", "picky")).result
    assert both.passed
    assert {check.target for check in both.checks} == {"host"}
    # What is wrong with the file itself is known without running it.
    stored = bundles.right_weight().astype("<f4").tobytes()
    path.write_bytes(path.read_bytes().replace(stored, stored[:-4] + stored[:4]))
    assert failed(verify_file(path, targets=("picky",)).result) == {("decoder.float32.onnx", "content")}


def test_limits_of_ones_own_count(make, tmp_path):
    config = tmp_path / "strict.toml"
    config.write_text('[limits."decoder.float32.onnx".image]\nmax_abs = 1e-12\n')
    result = verify_file(make(), config=config).result
    assert ("decoder.float32.onnx", "max_abs") in failed(result)


def test_goldens_of_which_some_values_were_kept_are_compared_and_all_values_checked(
    tmp_path, tflite_models, lone_files
):
    side, rng = 48, np.random.default_rng(3)
    weight = rng.normal(size=(2, side * side)).astype(np.float32)
    content = tflite_models.decoder(weight, side)
    path = tmp_path / "decoder.tflite"
    path.write_bytes(lone_files.signed(tmp_path, Format.TFLITE, content, weight))
    result = verify_file(path).result
    assert result.passed, [check.detail for check in result.checks]
    assert {"finite", "range", "max_abs"} <= {check.metric for check in result.checks}


def test_a_quantized_artifacts_pairs_are_stored_in_half_precision(make, lone_files, tmp_path):
    from pocketvae.bundle.embedded import open_lone_file

    budget = (Tolerance(output="image", metric="p99_abs", limit=4 / 255, source="budget"),)
    path = make(tolerances=budget, precision=Precision.INT8)
    assert open_lone_file(path).record.goldens.outputs[0].dtype == "float16"
    assert verify_file(path).result.passed


def test_bad_input_is_refused(make, tmp_path):
    path = make()
    with pytest.raises(SpecError, match="unknown target 'hots'"):
        verify_file(path, targets=("hots",))
    with pytest.raises(SpecError, match="threads must be at least 1, got 0"):
        verify_file(path, num_threads=0)
    (tmp_path / "empty.tflite").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"empty\.tflite: the file is empty"):
        verify_file(tmp_path / "empty.tflite")


@pytest.mark.slow
def test_every_exported_file_has_the_verdict_of_its_bundle(tiny_bundle, tmp_path):
    whole = failed(verify_bundle(tiny_bundle))
    files = sorted([*tiny_bundle.glob("*.tflite"), *tiny_bundle.glob("*.onnx")])
    assert len(files) == 34
    for file in files:
        alone = tmp_path / f"alone{file.suffix}"
        shutil.copy(file, alone)
        assert {metric for _, metric in failed(verify_file(alone).result)} == {
            metric for artifact, metric in whole if artifact == file.name
        }, file.name


@pytest.mark.slow
def test_metadata_takes_little_of_a_file(tiny_bundle):
    from pocketvae.bundle.embedded import open_lone_file

    for file in sorted([*tiny_bundle.glob("*.tflite"), *tiny_bundle.glob("*.onnx")]):
        lone = open_lone_file(file)
        goldens = lone.goldens()
        # A sampler without a learned prior is made of no model.
        assert bool(lone.record.sources) == (lone.record.component is not Component.SAMPLER), file.name
        assert lone.record.content_sha256 == lone.content_sha256
        values = sum(array.nbytes for array in (*goldens.inputs.values(), *goldens.outputs.values()))
        assert values < max(20_000, 0.4 * len(lone.content)), file.name
