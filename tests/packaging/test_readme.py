"""What the README says of commands, options, files and code is so."""

import ast
import importlib
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from pocketvae.cli import main
from pocketvae.cli.main import COMMANDS, build_parser
from pocketvae.spec import Format, Precision, unsupported_reason

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ROOMS = ("core", "train", "export", "benchmarks", "apps")
EVERYWHERE = {"--quiet", "--verbose"}


def section(heading):
    """Returns the text under a heading, down to the next one of its level or above."""
    level = heading.split(" ")[0]
    match = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", README, re.MULTILINE | re.DOTALL)
    assert match, f"the README has no heading {heading!r}"
    return match[1]


def options_of(command):
    commands = build_parser(command).chosen
    return set(re.findall(r"--[a-z][a-z-]*", commands.format_usage())) - EVERYWHERE


def command_lines():
    return re.findall(r"^    pocketvae (.+)$", README, re.MULTILINE)


def python_blocks():
    return re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_every_command_has_a_section_and_every_section_a_command():
    headings = re.findall(r"^### (\S+)$", section("## Commands"), re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented_and_exists(command):
    named = set(re.findall(r"`(--[a-z][a-z-]*)", section(f"### {command}"))) | set(
        re.findall(r" (--[a-z][a-z-]*)", section(f"### {command}"))
    )
    assert named - EVERYWHERE == options_of(command)


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_understood(line):
    words = shlex.split(line)
    assert build_parser(words[0]).parse_args(words).command == words[0]


def test_the_exit_codes_are_these():
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", section("### Exit codes"), re.MULTILINE)}
    assert documented == {value for name, value in vars(main).items() if name.startswith("EXIT_")}


def test_the_precisions_are_these():
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \| (yes|no) \|", section("### export"), re.MULTILINE)
    assert {name: (tflite, onnx) for name, tflite, onnx in rows} == {
        precision.value: tuple(
            "no" if unsupported_reason(format, precision) else "yes" for format in (Format.TFLITE, Format.ONNX)
        )
        for precision in Precision
    }


def test_the_training_keys_and_presets_are_these():
    from pocketvae.train import PRESETS, TrainConfig

    text = section("### train")
    keys = re.search(r"^Keys: (.*?)\.", text, re.MULTILINE | re.DOTALL)[1]
    assert re.findall(r"`(\w+)`", keys) == [field.name for field in fields(TrainConfig)]
    row = re.search(r"^\| `--preset PRESET` \| (.*) \|$", text, re.MULTILINE)[1]
    assert set(re.findall(r"`([\w-]+)`", row)) == set(PRESETS)


def test_every_link_and_picture_exists():
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", README, re.M)
    }
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (ROOT / target).is_file(), target


def test_every_picture_is_used_and_they_are_small():
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    assert [file.name for file in pictures if f"](docs/pictures/{file.name})" not in README] == []
    assert sum(file.stat().st_size for file in pictures) < 500_000


def test_the_map_shows_every_module_and_nothing_that_is_gone():
    shown = re.findall(r"^- `([^`]+)`: ", section("## Architecture"), re.MULTILINE)
    modules = {file.relative_to(ROOT).as_posix() for room in ROOMS for file in (ROOT / room).rglob("*.py")}
    assert modules - set(shown) == set()
    assert [path for path in shown if not (ROOT / path).exists()] == []
    assert len(shown) == len(set(shown))


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"as"}
    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()


def test_the_code_imports_what_exists():
    assert len(python_blocks()) >= 3
    for block in python_blocks():
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_first_code_block_runs(tmp_path, monkeypatch, bundles):
    (tmp_path / "quickstart").mkdir()
    bundles.make_bundle(tmp_path / "quickstart" / "bundle")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(python_blocks()[0], "README.md", "exec"), names)
    assert names["image"].shape == (1, 6, 6, 1)


@pytest.mark.slow
def test_the_code_that_generates_images_runs(tmp_path, monkeypatch, tiny_bundle):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "bundle").symlink_to(tiny_bundle)
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", section("## Generating images"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert len(names["images"]) == 100
    assert names["image"].shape == names["images"][0].shape == (1, 28, 28, 1)


def test_the_changelog_begins_with_what_is_not_released():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
