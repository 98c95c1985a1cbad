"""Exports that end before their bundle is there, with a worker that makes artifacts of a few bytes in this process."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import FileRecord
from pocketvae.errors import (
    ChannelError,
    ExportError,
    ManifestError,
    MemoryLimitError,
    NoSpaceError,
    OutputExistsError,
)
from pocketvae.export import (
    Budget,
    ExportConfig,
    RewriteChoice,
    default_memory_limit_bytes,
    pipeline,
    plan_artifacts,
)
from pocketvae.export.messages import Converted, Prepared, Spread
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.prepared_files import array_path
from pocketvae.export.subject import Subject
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.files import sha256_bytes, write_bytes

CONFIG = ExportConfig(
    artifacts=plan_artifacts(
        [Component.ENCODER, Component.DECODER], [Format.ONNX], [Precision.FLOAT32, Precision.FLOAT16]
    )
)
NAMES = [spec.filename for spec in CONFIG.artifacts]


class Desk:
    """What the workers of a test were asked for, and what they do at which artifact."""

    def __init__(self, bundle):
        self.bundle, self.asked, self.prepared, self.events = open_bundle(bundle), [], 0, {}
        self.needs = {}

    def clear(self):
        self.asked, self.prepared, self.events = [], 0, {}


class FakeWorker:
    desk: Desk

    def __init__(self, folder, *, environment=None, memory_limit_bytes=None):
        self.folder, self.memory_limit_bytes = folder, memory_limit_bytes

    def load(self, job, time_limit_s):
        pass

    def prepare(self, job, time_limit_s):
        self.desk.prepared += 1
        return tuple(self._prepare(component) for component in job.components)

    def _prepare(self, component):
        goldens = self.desk.bundle.goldens(component)
        for role, arrays in {"input": goldens.inputs, "calibration": goldens.inputs, "output": goldens.outputs}.items():
            for name, array in arrays.items():
                np.save(array_path(self.folder, component, role, name), array)
        floor = dict.fromkeys(goldens.outputs, 1e-7)
        return Prepared(
            component=component,
            floor=NoiseFloor(float32=floor, float16=floor),
            golden_strata=goldens.strata,
            calibration_strata=goldens.strata,
        )

    def spread(self, job, time_limit_s):
        return tuple(Spread(component=component, ways={}) for component in job.components)

    def convert(self, job, time_limit_s):
        name = job.artifact.filename
        self.desk.asked.append(name)
        if event := self.desk.events.get(name):
            raise event
        if self.desk.needs.get(name, 0) > self.memory_limit_bytes:
            limit = MemoryLimitError(f"it used more than the limit of {self.memory_limit_bytes} bytes")
            raise ExportError(f"the conversion failed: {limit}") from limit
        content = f"{name} {job.batches}".encode()
        write_bytes(self.folder / name, content)
        making = self.folder / "makings" / f"{job.artifact.component}.json"
        making.parent.mkdir(exist_ok=True)
        write_bytes(making, b"made by all artifacts of the component")
        record = self.desk.bundle.manifest.artifact(f"{job.artifact.component}.float32.onnx")
        record = replace(record, precision=job.artifact.precision, file=FileRecord.of(name, content))
        makings = {f"makings/{making.name}": sha256_bytes(making.read_bytes())}
        return Converted(record=record, error_ratio=0.5, makings=makings)

    def close(self, *, kill=False):
        pass

    def stop(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.fixture
def desk(tmp_path, bundles, monkeypatch):
    FakeWorker.desk = Desk(bundles.make_bundle(tmp_path / "given"))
    monkeypatch.setattr(pipeline, "WorkerProcess", FakeWorker)
    return FakeWorker.desk


@pytest.fixture
def export(desk, tmp_path):
    """Exports two small models to a folder of its own."""
    (tmp_path / "models").mkdir()
    (tmp_path / "here").mkdir()
    models = {item: tmp_path / "models" / f"{item}.keras" for item in (Component.ENCODER, Component.DECODER)}
    for path in models.values():
        path.write_bytes(b"PK\x03\x04 weights")
    subject = Subject(name="tiny", vae=desk.bundle.manifest.vae, models=models, reference=None, calibration_images=0)

    def run(config=CONFIG, *, name="bundle", force=False, resume=True, progress=lambda step: None):
        out = tmp_path / "here" / name
        return pipeline.export_subject(subject, out, config, force=force, resume=resume, progress=progress)

    return run


def interrupted(export, desk, name=NAMES[2], **changes):
    """Exports until a worker is asked for `name`; returns what the user is told."""
    desk.events[name] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        export(**changes)
    desk.clear()
    return caught.value.__notes__


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_command_goes_on_and_gives_the_same_bundle(export, desk, tmp_path):
    whole = export(name="whole")
    desk.clear()
    (note,) = interrupted(export, desk)
    assert note.startswith("bundle.unfinished keeps 2 of 4 artifacts (0.0 MB): the same command goes on with them")
    kept = tmp_path / "here" / "bundle.unfinished"
    written = {name: (kept / "work" / name).stat().st_mtime_ns for name in NAMES[:2]}
    with pytest.raises(ManifestError):
        open_bundle(kept)

    steps = []
    desk.events[NAMES[3]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        export(progress=steps.append)
    assert {name: (kept / "work" / name).stat().st_mtime_ns for name in NAMES[:2]} == written
    assert (desk.asked, desk.prepared) == (NAMES[2:], 0)
    assert [step.detail for step in steps if step.stage == "resuming"] == [
        "2 of 4 artifacts are reused from an unfinished export"
    ]
    assert [step.done for step in steps if step.stage == "exporting"] == [0, 3, 4]
    desk.clear()

    result = export()
    assert (desk.asked, desk.prepared) == (NAMES[3:], 0)
    assert result.resumed == "3 of 4 artifacts are reused from an unfinished export"
    assert result.manifest == whole.manifest
    assert content(tmp_path / "here" / "bundle") == content(tmp_path / "here" / "whole")
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["bundle", "whole"]


def test_a_whole_export_says_nothing_of_unfinished_ones(export):
    assert export().resumed == ""


@pytest.mark.parametrize(
    "error",
    [NoSpaceError("x: No space left on device"), RuntimeError("a bug"), OSError(28, "No space left on device", "x")],
)
def test_an_export_that_fails_keeps_what_it_made(export, desk, error):
    desk.events[NAMES[1]] = error
    with pytest.raises((ExportError, RuntimeError, OSError)) as caught:
        export()
    assert caught.value.__notes__[0].startswith("bundle.unfinished keeps 1 of 4 artifacts")
    desk.clear()
    export()
    assert desk.asked == NAMES[1:]


def test_before_the_first_artifact_nothing_is_kept(export, desk, tmp_path):
    desk.events[NAMES[0]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        export()
    assert not hasattr(caught.value, "__notes__")
    assert list((tmp_path / "here").iterdir()) == []


def test_an_artifact_that_could_not_be_made_is_tried_again(export, desk):
    desk.events[NAMES[0]] = ChannelError("it took longer than 1 s")
    interrupted(export, desk)
    export(replace(CONFIG, time_limit_s=600.0))
    assert desk.asked == [NAMES[0], *NAMES[2:]]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"batches": (1, 4)}, "--batch has changed"),
        ({"rewrites": RewriteChoice()}, "--rewrites has changed"),
        ({"budget": Budget(p99_steps=3.0)}, "the error budget has changed"),
        ({"licence": "MIT", "author": "me"}, "--licence and --author have changed"),
        ({"embedded_goldens": False}, "--no-embedded-goldens has changed"),
        ({"seed": 1}, "--seed has changed"),
        ({"calibration_seeds": 1}, "--calibration-seeds has changed"),
        ({"allow_batch_dependence": True}, "--allow-batch-dependence has changed"),
    ],
)
def test_what_other_options_would_make_otherwise_is_made_again(export, desk, changes, why, monkeypatch):
    monkeypatch.setattr(FakeWorker, "coupling", lambda self, job, time_limit_s: (), raising=False)
    interrupted(export, desk)
    result = export(replace(CONFIG, **changes))
    assert desk.asked == NAMES
    reused = "0 of 4 artifacts are reused from an unfinished export"
    assert result.resumed == f"{reused}; 2 are not reused: {why}"


def test_options_that_change_no_artifact_change_nothing(export, desk):
    interrupted(export, desk)
    export(replace(CONFIG, time_limit_s=7.0, memory_limit_bytes=1 << 30))
    assert desk.asked == NAMES[2:]


def test_what_needs_more_than_its_half_of_the_memory_is_repeated_alone(export, desk):
    half, all = default_memory_limit_bytes(), default_memory_limit_bytes(alone=True)
    assert half < all
    desk.needs = {NAMES[0]: half + 1, NAMES[2]: all + 1}
    said = []
    result = export(progress=lambda step: said.append(step.detail))
    assert desk.asked == [*NAMES, NAMES[0], NAMES[2]]
    assert {artifact.name for artifact in result.manifest.artifacts} == set(NAMES) - {NAMES[2]}
    [failure] = result.manifest.failures
    assert f"the limit of {all} bytes" in failure.reason
    assert [text for text in said if "alone: it needs more memory" in text] == [
        f"making {NAMES[0]}, alone: it needs more memory than beside another"
    ]


def test_of_a_large_model_the_goldens_alone_are_kept(export, desk, tmp_path):
    (note,) = interrupted(export, desk, NAMES[0], config=replace(CONFIG, time_limit_s=601.0))
    assert re.fullmatch(r"bundle.unfinished keeps the goldens \(0.\d MB\): the same command goes on with them", note)
    export(replace(CONFIG, time_limit_s=601.0))
    assert (desk.asked, desk.prepared) == (NAMES, 0)
    assert not (tmp_path / "here" / "bundle.unfinished").exists()


def test_a_limit_that_was_named_is_kept(export, desk):
    desk.needs = {NAMES[0]: 2 << 30}
    result = export(replace(CONFIG, memory_limit_bytes=1 << 30))
    assert desk.asked == NAMES
    assert [failure.artifact for failure in result.manifest.failures] == [NAMES[0]]


def test_another_model_is_exported_from_the_start(export, desk, tmp_path):
    interrupted(export, desk)
    (tmp_path / "models" / "decoder.keras").write_bytes(b"PK\x03\x04 other weights")
    assert export().resumed.endswith("2 are not reused: the model has changed")
    assert (desk.asked, desk.prepared) == (NAMES, 1)


def test_another_version_makes_everything_again(export, desk, monkeypatch):
    interrupted(export, desk)
    monkeypatch.setattr("pocketvae.export.ingredients._source", lambda: "other")
    assert export().resumed.endswith("2 are not reused: pocketvae or a converter has changed")
    assert (desk.asked, desk.prepared) == (NAMES, 1)


def test_other_goldens_mean_other_artifacts(export, desk, tmp_path):
    """An array that was damaged is prepared again; where it comes out otherwise, so does what was made of it."""
    interrupted(export, desk)
    work = tmp_path / "here" / "bundle.unfinished" / "work"
    np.save(array_path(work, Component.DECODER, "input", "z"), np.zeros(3))
    export()
    assert (desk.asked, desk.prepared) == (NAMES[2:], 1)


@pytest.mark.parametrize("where", ["work/encoder.float16.onnx", "records/encoder.float16.onnx.artifact.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_damaged_artifact_is_made_again(export, desk, tmp_path, where, how):
    assert NAMES[1] == "encoder.float16.onnx"
    interrupted(export, desk)
    path = tmp_path / "here" / "bundle.unfinished" / where
    path.unlink() if how == "gone" else path.write_bytes(b"{}")
    result = export()
    assert desk.asked == NAMES[1:]
    assert ("; 1 is not reused: it is damaged" in result.resumed) is (how == "changed" or where.startswith("work"))
    assert open_bundle(tmp_path / "here" / "bundle").manifest == result.manifest


def test_what_an_artifact_shares_with_others_must_be_whole_too(export, desk, tmp_path):
    interrupted(export, desk, NAMES[3])
    (tmp_path / "here" / "bundle.unfinished" / "work" / "makings" / "encoder.json").write_bytes(b"{}")
    export()
    assert desk.asked == [*NAMES[:2], NAMES[3]]


def test_what_a_later_artifact_changed_for_an_earlier_one_counts(export, desk, tmp_path, monkeypatch):
    """A decision about rewrites is settled anew by another artifact: both were made, and both are kept."""
    convert = FakeWorker.convert

    def settle(self, job, time_limit_s):
        made = convert(self, job, time_limit_s)
        path = self.folder / "makings" / "encoder.json"
        path.write_bytes(job.artifact.filename.encode())
        return replace(made, makings={"makings/encoder.json": sha256_bytes(path.read_bytes())})

    monkeypatch.setattr(FakeWorker, "convert", settle)
    interrupted(export, desk)
    export()
    assert desk.asked == NAMES[2:]


def test_only_what_is_asked_for_is_reused(export, desk, tmp_path):
    interrupted(export, desk, NAMES[3])
    result = export(replace(CONFIG, artifacts=CONFIG.artifacts[1:3]))
    assert (desk.asked, desk.prepared) == ([], 0)
    assert result.resumed == "2 of 2 artifacts are reused from an unfinished export; 1 is not reused: not asked for now"
    assert {path.name for path in (tmp_path / "here" / "bundle").glob("*.onnx")} == set(NAMES[1:3])


def test_more_may_be_asked_for(export, desk):
    desk.events[NAMES[1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        export(replace(CONFIG, artifacts=CONFIG.artifacts[:2]))
    desk.clear()
    export()
    assert (desk.asked, desk.prepared) == (NAMES[1:], 1)


def test_without_resume_everything_is_made_anew(export, desk):
    interrupted(export, desk)
    result = export(resume=False)
    assert (desk.asked, desk.prepared) == (NAMES, 1)
    assert result.resumed.endswith("; 2 are not reused: --no-resume was given")


def test_an_export_that_replaces_a_bundle_goes_on_too(export, desk, tmp_path):
    export()
    with pytest.raises(OutputExistsError, match="--force"):
        export()
    desk.clear()
    interrupted(export, desk, force=True)
    open_bundle(tmp_path / "here" / "bundle")
    export(force=True)
    assert desk.asked == NAMES[2:]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["bundle"]


def test_what_a_killed_export_left_is_used_or_cleared(export, desk, tmp_path):
    """A kill leaves files without records, records without files, and temporary ones."""
    interrupted(export, desk)
    kept = tmp_path / "here" / "bundle.unfinished"
    (kept / "work" / "decoder.float32.onnx").write_bytes(b"half")
    (kept / "work" / "decoder.other.npy").write_bytes(b"of another export")
    (kept / "work" / "makings" / "decoder.json").write_bytes(b"half")
    (kept / "temporary" / "model").mkdir(parents=True)
    seen = []
    export(progress=lambda step: seen.append(content(kept)) if step.detail == f"making {NAMES[3]}" else None)
    assert desk.asked == NAMES[2:]
    assert not any(name.startswith("temporary/") for name in seen[0])
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["bundle"]
    assert json.loads((tmp_path / "here" / "bundle" / "manifest.json").read_text())["failures"] == []


def test_killed_while_it_was_preparing(export, desk, tmp_path):
    (tmp_path / "here" / "bundle.unfinished" / "work").mkdir(parents=True)
    (tmp_path / "here" / "bundle.unfinished" / ".pocketvae-export").touch()
    np.save(
        array_path(tmp_path / "here" / "bundle.unfinished" / "work", Component.DECODER, "observed", "x"), np.ones(1)
    )
    manifest = export().manifest
    assert [golden.observed for golden in manifest.goldens] == [{}, {}]
    assert desk.asked == NAMES


def test_another_s_unfinished_work_is_left_alone(export, tmp_path):
    other = tmp_path / "here" / "bundle.unfinished" / "checkpoints"
    other.mkdir(parents=True)
    (other / "state.json").write_text("{}")
    with pytest.raises(OutputExistsError, match=r"bundle\.unfinished is in the way and holds other work"):
        export()
    assert (other / "state.json").exists()
    shutil.rmtree(other.parent)
    export()
