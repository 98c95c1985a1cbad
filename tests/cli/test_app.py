"""The command `pocketvae app`, and the bundle `demo` in every command that takes one."""

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_says_where_the_project_is(command, tmp_path):
    outcome = command("app", "demo", "--platform", "web", "--out", "page", "--name", "Digits")
    assert outcome.code == 0
    assert "Digits draws images from seeds with generator.int8.tflite, generator.int8.onnx" in outcome.out
    assert "app: page, see README.md there" in outcome.out
    assert (tmp_path / "page/index.html").is_file()


def test_what_exists_is_replaced_only_with_force_and_only_a_project(refused, command, tmp_path):
    assert command("app", "demo", "--platform", "web", "--out", "page").code == 0
    refused("page exists", "app", "demo", "--platform", "android", "--out", "page")
    assert command("app", "demo", "--platform", "web", "--out", "page", "--force", "--name", "Other").code == 0
    assert "Other" in (tmp_path / "page/index.html").read_text()
    refused("is a project for web, not for android", "app", "demo", "--platform", "android", "--out", "page", "--force")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    refused("pocketvae-app.json", "app", "demo", "--platform", "web", "--out", "mine", "--force")
    assert (tmp_path / "mine/thesis.txt").read_text() == "mine"


def test_what_a_developer_has_made_of_a_project_is_kept(refused, command, tmp_path):
    words = ("app", "demo", "--platform", "web", "--out", "page", "--force")
    assert command(*words).code == 0
    (tmp_path / "page/node_modules").mkdir()
    (tmp_path / "page/node_modules/x.js").write_text("made by npm")
    assert command(*words).code == 0
    (tmp_path / "page/mine.js").write_text("mine")
    refused("has files of yours, which --force would delete: mine.js; write", *words)
    (tmp_path / "page/mine.js").unlink()
    page = tmp_path / "page/index.html"
    page.write_text(page.read_text() + "<!-- mine -->")
    refused("has files of yours, which --force would delete: index.html", *words)
    assert page.read_text().endswith("<!-- mine -->")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("unknown platform 'adnroid'.*android", ["--platform", "adnroid"]),
        ("--name must be letters", ["--platform", "ios", "--name", "my-app"]),
        ("--name must not be a word of Kotlin", ["--platform", "ios", "--name", "class"]),
        ("unknown precision 'int7'", ["--platform", "ios", "--precision", "int7"]),
        ("a file of int16x8 in .onnx, and the bundle has", ["--platform", "ios", "--precision", "int16x8"]),
    ],
)
def test_bad_input_is_refused_in_one_line(refused, tmp_path, said, words):
    refused(said, "app", "demo", "--out", "out", *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "demo"],
        ["inspect", "demo/decoder.int8.tflite"],
        ["compare", "demo", "demo"],
        ["generate", "demo", "--seed", "7", "--out", "image.png"],
        ["interpolate", "demo", "--seeds", "1,2", "--out", "tour.gif"],
        ["traverse", "demo", "--dimensions", "2", "--out", "traversal.png"],
        ["bench", "demo", "--artifacts", "decoder.int8.tflite"],
    ],
    ids=lambda words: words[0],
)
def test_commands_take_the_demo(command, words):
    outcome = command(*words, "--quiet")
    assert outcome.code == 0, outcome.err


def test_what_writes_into_a_bundle_says_that_this_one_is_read_only(refused):
    refused("read-only: name a file of yours with --tables", "compress", "demo", "mnist", "--fit")
