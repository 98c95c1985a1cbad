"""The command `pocketvae history`."""

import json
import subprocess

import pytest


@pytest.fixture
def result(command, bundles, tmp_path):
    path = tmp_path / "verify.json"
    assert command("verify", bundles.make_bundle(tmp_path / "b"), "--json", path).code == 0
    return path


def test_results_are_added_and_shown(command, result, tmp_path):
    db = tmp_path / "h.sqlite"
    added = command("history", "add", result, "--db", db, "--revision", "abc")
    assert added.code == 0
    assert "figures added" in added.out
    assert "is in the history already" in command("history", "add", result, "--db", db).out
    page, document = tmp_path / "h.html", tmp_path / "h.json"
    shown = command(
        "history", "show", "--db", db, "--all", "--artifact", "decoder.*", "--html", page, "--json", document
    )
    assert shown.code == 0
    assert "0 figures of" in shown.out
    assert "encoder" not in shown.out
    assert page.read_text().startswith("<!doctype html>")
    series = json.loads(document.read_text())["series"]
    assert {moment["revision"] for item in series for moment in item["moments"]} == {"abc"}


def test_another_label_of_the_same_result_is_taken(command, result, tmp_path):
    db = tmp_path / "h.sqlite"
    command("history", "add", result, "--db", db, "--label", "main")
    again = command("history", "add", result, "--db", db, "--label", "v1")
    assert "is in the history already; its label is now v1, in place of main" in again.out
    command("history", "show", "--db", db, "--json", tmp_path / "h.json")
    series = json.loads((tmp_path / "h.json").read_text())["series"]
    assert {moment["label"] for item in series for moment in item["moments"]} == {"v1"}


def test_a_check_that_fails_now_is_the_exit_code(command, result, tmp_path):
    db = tmp_path / "h.sqlite"
    command("history", "add", result, "--db", db, "--revision", "")
    document = json.loads(result.read_text())
    result.with_name("good.json").write_text(json.dumps(document))
    document["checks"][0]["passed"] = False
    result.write_text(json.dumps(document))
    command("history", "add", result, "--db", db, "--revision", "bad")
    shown = command("history", "show", "--db", db)
    assert shown.code == 1
    assert "FAILS since bad" in shown.out
    assert "1 fails now" in shown.out
    assert " on host FAILS since bad (" in shown.out
    assert "; last passed in result 1 (" in shown.out
    command("history", "add", result.with_name("good.json"), "--db", db, "--revision", "good")
    assert command("history", "show", "--db", db).code == 0


def test_a_failing_branch_does_not_fail_another_s_label(command, refused, result, tmp_path):
    db = tmp_path / "h.sqlite"
    command("history", "add", result, "--db", db, "--label", "main")
    document = json.loads(result.read_text())
    document["checks"][0]["passed"] = False
    result.write_text(json.dumps(document))
    command("history", "add", result, "--db", db, "--label", "a-branch")
    assert command("history", "show", "--db", db).code == 1
    assert command("history", "show", "--db", db, "--label", "a-*").code == 1
    shown = command("history", "show", "--db", db, "--label", "main")
    assert shown.code == 0
    assert "changed in 1 result" in shown.out
    message = "the history has no result with the label mian; it has: a-branch, main"
    refused(message, "history", "show", "--db", db, "--label", "mian")


def test_the_commit_of_the_folder_is_the_revision(command, result, tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    folder.mkdir()
    words = ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "--message", "one")
    for command_line in (("init", "--quiet"), words):
        subprocess.run(["git", *command_line], cwd=folder, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True).stdout
    monkeypatch.chdir(folder)
    command("history", "add", result, "--db", tmp_path / "h.sqlite")
    command("history", "show", "--db", tmp_path / "h.sqlite", "--json", tmp_path / "h.json")
    series = json.loads((tmp_path / "h.json").read_text())["series"]
    assert {moment["revision"] for item in series for moment in item["moments"]} == {head[:12]}


def test_what_cannot_be_done_is_said_first(refused, result, tmp_path):
    db = tmp_path / "h.sqlite"
    refused("the action must be one of add, show, got 'drop'", "history", "drop")
    refused("name the results to add", "history", "add", "--db", db)
    refused("is not a file: add takes what verify --json", "history", "add", tmp_path / "no.json", "--db", db)
    refused("show takes no files", "history", "show", result, "--db", db)
    refused("does not exist: pocketvae history add RESULT.json", "history", "show", "--db", db)
    assert not db.exists()


def test_options_may_come_first(command, result, tmp_path):
    db = tmp_path / "h.sqlite"
    assert command("history", "--label", "x", "add", "--db", db, result).code == 0
    assert command("history", "add", result, "--db", db, "--label", "x").code == 0


def test_all_results_are_added_or_none(command, refused, result, tmp_path):
    db, other = tmp_path / "h.sqlite", tmp_path / "other.json"
    other.write_text("{}")
    refused("other.json is not a result: name a file that verify", "history", "add", result, other, "--db", db)
    refused("--db takes a file, and .* is a folder", "history", "add", result, "--db", tmp_path)
    assert not db.exists()
    assert "figures added" in command("history", "add", result, "--db", db).out


@pytest.mark.parametrize(
    ("words", "option", "action"),
    [
        (["add", "x.json", "--html", "x.html"], "--html", "show"),
        (["add", "x.json", "--all"], "--all", "show"),
        (["add", "x.json", "--artifact", "d*"], "--artifact", "show"),
        (["show", "--revision", "main"], "--revision", "add"),
    ],
)
def test_an_option_of_the_other_action_is_refused(command, words, option, action):
    refused = command("history", *words)
    assert refused.code == 2
    assert f"{option} is an option of history {action}: leave it out" in refused.err
