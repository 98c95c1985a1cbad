"""Outputs that would destroy something are refused before any work."""

import argparse
from pathlib import Path

import pytest

from pocketvae.bundle.demo import demo_folder
from pocketvae.cli.catalogue import COMMANDS
from pocketvae.cli.main import build_parser
from pocketvae.cli.outputs import _WRITTEN, check_no_addresses, check_outputs


@pytest.fixture
def bundle(tmp_path, bundles):
    return bundles.make_bundle(tmp_path / "b")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["manifest.json", "decoder.float32.onnx", "golden/z.npy"])
def test_a_file_of_the_bundle_is_not_replaced(bundle, refused, name):
    before = content(bundle)
    refused("which is part of the bundle b: choose another file", "verify", bundle, "--json", bundle / name)
    assert content(bundle) == before


@pytest.mark.parametrize("name", ["run.json", "decoder.keras", "metrics.jsonl"])
def test_a_file_of_a_run_is_not_replaced(bundle, refused, command, tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    for own in ("run.json", "decoder.keras", "metrics.jsonl"):
        (run / own).write_text(own)
    refused("which is part of the run run: choose another file", "verify", bundle, "--json", run / name)
    assert (run / name).read_text() == name
    assert command("verify", bundle, "--json", run / "verify.json").code == 0
    assert command("verify", bundle, "--json", run / "verify.json").code == 0


@pytest.mark.parametrize("words", [("verify", "--json"), ("bench", "--html"), ("verify", "--junit")])
def test_a_dash_is_no_file(bundle, refused, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    refused("a result file must have a name, got -: /dev/stdout is", words[0], bundle, words[1], "-")
    assert not (tmp_path / "-").exists()


def test_a_file_beside_them_is_written(bundle, command):
    assert command("verify", bundle, "--json", bundle / "verify.json").code == 0
    assert command("verify", bundle, "--json", bundle / "verify.json").code == 0


def test_the_demo_is_not_written_into(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = content(demo_folder())
    for words in (
        ("verify", "demo", "--json", demo_folder() / "v.json"),
        ("generate", "demo", "--out", demo_folder() / "x.png"),
    ):
        refused("read-only: name a file of yours with --", *words)
    refused("read-only: name a file of yours with --db", "history", "show", "--db", demo_folder() / "h.sqlite")
    assert content(demo_folder()) == before


def test_two_outputs_are_two_files(bundle, refused, tmp_path):
    same = tmp_path / "same.out"
    other = tmp_path / "b" / ".." / "same.out"
    refused("--json and --junit name the same file", "verify", bundle, "--json", same, "--junit", other)
    assert not same.exists()


def test_what_is_read_is_not_written(refused, tmp_path):
    result = tmp_path / "verify.json"
    result.write_text("{}")
    refused("--json names .*, which this command reads", "compare", result, result, "--json", result)
    refused("--html names .*, which this command reads", "history", "show", "--db", result, "--html", result)
    assert result.read_text() == "{}"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("score b mine.npy --calibration n.json --csv mine.npy", "--csv"),
        ("score b mine.npy --calibration mine.npy --calibrate", "--calibration"),
        ("score b other.npy --normal mine.npy --calibration n.json --roc mine.npy", "--roc"),
        ("compress b mine.npy --tables mine.npy --fit", "--tables"),
        ("interpolate b --images other.npy mine.npy --out mine.npy --force", "--out"),
        ("distil mine.npy --out mine.npy --speedup 2 --force", "--out"),
        ("export --decoder mine.npy --out mine.npy --force", "--out"),
        ("export r --data mnist --calibrate-scores mine.npy --out mine.npy --force", "--out"),
        ("verify b --data mine.npy --save-worst mine.npy", "--save-worst"),
        ("train --data folder --out ./folder --force", "--out"),
        ("train --data folder/photos --out folder --force", "--out"),
        ("export folder/run --out folder --force", "--out"),
        ("app folder/run --platform web --out folder --force", "--out"),
    ],
)
def test_no_source_and_no_folder_around_one_is_written(refused, tmp_path, monkeypatch, words, option):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "photos").mkdir(parents=True)
    (tmp_path / "folder" / "run").mkdir()
    (tmp_path / "mine.npy").write_bytes(b"mine")
    refused(f"{option} names .* this command", *words.split())
    assert (tmp_path / "mine.npy").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "words", ["train --data mnist --out mnist --force", "export r --recipe bundle/recipes --out bundle --force"]
)
def test_the_package_s_images_and_recipes_of_an_earlier_bundle_are_no_such_sources(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for folder in ("mnist", "bundle/recipes"):
        (tmp_path / folder).mkdir(parents=True)
    check_outputs(build_parser(words.split()[0]).parse_args(words.split()))


INPUTS = "run path before after results bundle source file db baseline config recipe vae decoder encoder"
KNOWN = {*INPUTS.split(), "original_decoder", "original_encoder", "custom_code", "calibration", "tables", *_WRITTEN}


def paths_of(name):
    """Returns the arguments of a command that are paths."""
    return {action.dest for action in build_parser(name).chosen._actions if action.type not in (None, int, float, str)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_that_is_a_path_is_read_or_written(name):
    assert paths_of(name) <= KNOWN


def test_every_path_that_is_known_is_of_a_command():
    assert set().union(*map(paths_of, COMMANDS)) == KNOWN


def test_what_is_no_path_is_left_alone():
    check_outputs(argparse.Namespace(out=None, json=None, bundle="demo"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("evaluate", "file:///a/run"),
            "run must be a path .*, got an address, file:///a/run: write /a/run",
        ),
        (("evaluate", "run", "--data", "s3://b/x.npy"), "data must be a path .* s3://b/x.npy: copy or mount it first"),
        (("score", "b", "x.npy", "--calibration", "s3://b/n.json"), "calibration must be a path .*: copy or mount it"),
        (("verify", "gs://b/bundle"), "bundle must be a path of this machine, got an address, gs://b/bundle"),
    ],
)
def test_an_address_where_a_path_must_stand_is_told(refused, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    refused(message, *words)


def test_a_file_that_is_called_like_an_address_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "b").touch()
    check_no_addresses(argparse.Namespace(run=Path("s3:/b")))
