"""A quickstart that was interrupted; its stages are replaced, since they have tests of their own."""

import shutil
from functools import partial

import pytest

import pocketvae.benchmarks
import pocketvae.export
import pocketvae.train
from pocketvae.bundle.run import open_run
from pocketvae.errors import SpecError
from pocketvae.progress import Progress

pytestmark = pytest.mark.slow


@pytest.fixture
def stages(monkeypatch, tiny_run, tiny_bundle, tiny_config):
    """Records which stages run; they copy what the fixtures made, and `ends_in` names the one that is interrupted."""
    done = []

    class Stages:
        ends_in = "verify"
        is_refused = False

    def reach(name):
        done.append(name)
        if Stages.ends_in in name:
            error = KeyboardInterrupt()
            error.add_note("run.unfinished keeps the progress: continue with --resume")
            raise error

    def train(*, out, resume, progress, **_):
        if Stages.is_refused:
            raise SpecError("threads must be between 1 and 2")
        progress(Progress(stage="training", done=1, total=2))
        reach(f"train resume={resume}")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(tiny_run, out)
        return open_run(out).record

    def export_run(run, out, config, *, force, progress):
        reach("export")
        shutil.copytree(tiny_bundle, out)

    monkeypatch.setattr(pocketvae.train, "train", train, raising=False)
    monkeypatch.setattr(pocketvae.train, "preset", lambda name: tiny_config, raising=False)
    monkeypatch.setattr(pocketvae.export, "export_run", export_run, raising=False)
    monkeypatch.setattr(pocketvae.benchmarks, "verify_bundle", lambda *_, **__: reach("verify"), raising=False)
    Stages.done = done
    return Stages


def test_it_goes_on_where_it_was_interrupted(stages, command, tmp_path):
    words = ("quickstart", "--out", tmp_path / "q")
    stages.ends_in = "train"
    interrupted = command(*words)
    assert interrupted.code == 130
    assert "run.unfinished keeps the progress: the same command continues it" in interrupted.err
    (tmp_path / "q" / "run.unfinished").mkdir()
    stages.ends_in = "export"
    assert command(*words).code == 130
    (tmp_path / "q" / "run.unfinished").rmdir()
    assert command(*words).code == 130
    stages.ends_in = "verify"
    assert command(*words).code == 130
    assert command(*words).code == 130
    train = ["train resume=False", "train resume=True"]
    assert stages.done == [*train, "export", "export", "export", "verify", "verify"]


def test_other_values_train_again_and_another_run_is_exported_again(stages, command, tmp_path):
    words = ("quickstart", "--out", tmp_path / "q")
    command(*words)
    command(*words, "--set", "seed=1")
    assert stages.done == ["train resume=False", "export", "verify", "train resume=True", "verify"]
    (tmp_path / "q" / "run" / "decoder.keras").write_bytes(b"other")
    shutil.rmtree(tmp_path / "q" / "bundle" / "recipes")
    stages.ends_in = "export"
    command(*words)
    assert stages.done[5:] == ["export"]


def test_one_that_ended_is_kept_without_force_and_replaced_with_it(stages, refused, command, tmp_path):
    command("quickstart", "--out", tmp_path / "q")
    (tmp_path / "q" / "report.html").write_text("done")
    refused("q exists: choose another --out", "quickstart", "--out", tmp_path / "q")
    del stages.done[:]
    stages.is_refused = True
    refused("threads must be between", "quickstart", "--out", tmp_path / "q", "--force")
    assert (tmp_path / "q" / "report.html").read_text() == "done"
    stages.is_refused, stages.ends_in = False, "train"
    command("quickstart", "--out", tmp_path / "q", "--force")
    assert stages.done == ["train resume=False"]
    assert not (tmp_path / "q" / "report.html").exists()


def test_a_folder_of_something_else_is_no_unfinished_quickstart(stages, refused, tmp_path):
    (tmp_path / "q" / "run").mkdir(parents=True)
    (tmp_path / "q" / "run" / "mine.txt").write_text("precious")
    refused("q exists: choose another --out", "quickstart", "--out", tmp_path / "q")
    (tmp_path / "q" / "notes.txt").write_text("precious")
    refused("q exists: choose another --out", "quickstart", "--out", tmp_path / "q")
    assert stages.done == []


@pytest.mark.usefixtures("few_values")
def test_signals_are_trained_exported_and_watched(command, tmp_path, monkeypatch):
    few = partial(pocketvae.export.ExportConfig, calibration_seeds=1, rewrites=pocketvae.export.RewriteChoice())
    monkeypatch.setattr(pocketvae.export, "ExportConfig", few)
    out = tmp_path / "q"
    found = command("quickstart", "--signals", "--out", out, "--set", "epochs=2", "--set", "kl_warmup_epochs=0")
    # After two epochs, int8 may miss its limits; what is made is the same.
    assert found.code in (0, 1), found.err
    assert open_run(out / "run").record.vae.channels[0].name == "lead_mv"
    drawn = (out / "bundle" / "reports" / "timeline.svg").read_text()
    assert drawn.count('class="truth"') == 1
    assert "data:image/svg+xml;base64," in (out / "report.html").read_text()
    assert "of 1 events detected" in found.out
    assert (out / "bundle" / "scorer.int8_io.tflite").is_file()
