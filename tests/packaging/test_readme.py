"""What README.md and the pages under docs say of commands, options, files and code is so."""

import ast
import importlib
import importlib.util
import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from pocketvae.cli import main
from pocketvae.cli.catalogue import COMMANDS
from pocketvae.cli.main import build_parser
from pocketvae.spec import Format, Precision, unsupported_reason

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
ALL_PAGES = [*PAGES, *(ROOT / folder / "README.md" for folder in ("studies", "benchmarks/history", "core/mnist"))]
EVERYWHERE = {"--quiet", "--verbose"}


def read(page):
    return page.read_text("utf-8")


def everything():
    return "\n".join(read(page) for page in PAGES)


def section(page, heading):
    """Returns the text under a heading, down to the next one of its level or above."""
    level = heading.split(" ")[0]
    match = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", read(page), re.M | re.S)
    assert match, f"{page.name} has no heading {heading!r}"
    return match[1]


def command_section(command):
    return section(DOCS / "commands.md", f"## {command}")


def anchors(page):
    """Returns what GitHub makes of the headings; a comment in a block of code is none."""
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page):
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", read(page)) if "://" not in target]


def options_of(command):
    commands = build_parser(command).chosen
    return set(re.findall(r"--[a-z][a-z-]*", commands.format_usage())) - EVERYWHERE


def command_lines():
    return sorted(set(re.findall(r"^    pocketvae (.+)$", everything(), re.MULTILINE)))


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_blocks(blocks):
    names = {}
    for block in blocks:
        exec(compile(block, "a page", "exec"), names)
    return names


def test_every_command_has_a_section_and_every_section_a_command():
    headings = re.findall(r"^## (\S+)$", read(DOCS / "commands.md"), re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented_and_exists(command):
    text = command_section(command)
    named = set(re.findall(r"[` ](--[a-z][a-z-]*)", text))
    assert named - EVERYWHERE == options_of(command)
    rows = re.findall(r"^\| (`--[^|]*) \|", text, re.MULTILINE)
    assert {option for row in rows for option in re.findall(r"`(--[a-z][a-z-]*)", row)} == options_of(command)


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_understood(line):
    words = shlex.split(line)
    assert build_parser(words[0]).parse_args(words).command == words[0]


def test_the_exit_codes_are_these():
    documented = {
        int(code) for code in re.findall(r"^\| (\d+) \|", section(DOCS / "commands.md", "## Exit codes"), re.MULTILINE)
    }
    assert documented == {value for name, value in vars(main).items() if name.startswith("EXIT_")}


def test_the_precisions_are_these():
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \| (yes|no) \|", command_section("export"), re.MULTILINE)
    assert {name: (tflite, onnx) for name, tflite, onnx in rows} == {
        precision.value: tuple(
            "no" if unsupported_reason(format, precision) else "yes" for format in (Format.TFLITE, Format.ONNX)
        )
        for precision in Precision
    }


def test_the_training_keys_and_presets_are_these():
    from pocketvae.train import PRESETS, TrainConfig

    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", section(DOCS / "training.md", "## Keys"), re.MULTILINE)
    keys = rows[: len(fields(TrainConfig))]
    values = PRESETS["mnist-tiny"].as_json()
    written = {key: value if isinstance(value, str) and value else json.dumps(value) for key, value in values.items()}
    assert keys == list(written.items())
    row = re.search(r"^\| `--preset PRESET` \| (.*) \|$", command_section("train"), re.MULTILINE)[1]
    assert set(re.findall(r"`([\w-]+)`", row)) == set(PRESETS)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_anchor_exists(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_has_every_page_and_the_readme_leads_to_it():
    others = {page.name for page in PAGES} - {"README.md"}
    assert others - set(links(DOCS / "README.md")) == set()
    assert "docs/README.md" in links(README)


def test_the_readme_and_the_pages_to_begin_with_stay_short():
    assert len(read(README).splitlines()) <= 150
    assert {page.name for page in DOCS.glob("for-*.md") if len(read(page).splitlines()) > 50} == set()


def test_the_figures_of_the_readme_are_those_of_the_results():
    figures = set(re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", section(README, "## Results")))
    assert len(figures) > 8
    known = read(DOCS / "results.md") + read(DOCS / "rewrites.md")
    assert {figure for figure in figures if not re.search(rf"(?<![\w.]){re.escape(figure)}(?![\d.])", known)} == set()


def test_every_command_of_the_readmes_table_is_understood():
    lines = re.findall(r"`pocketvae ([^`]+)`", section(README, "## I want ..."))
    assert len(lines) > 15
    for line in lines:
        words = [word for word in shlex.split(line) if word != "..."]
        assert build_parser(words[0]).parse_args(words).command == words[0]


def test_every_schema_is_named():
    schemas = {file.name for file in (DOCS / "schemas").iterdir() if file.suffix in {".json", ".xsd"}}
    assert {name for name in schemas if f"schemas/{name}" not in links(DOCS / "bundle.md")} == set()


def test_every_picture_is_used_and_they_are_small():
    pictures = sorted((DOCS / "pictures").iterdir())
    used = {Path(link).name for page in PAGES for link in links(page)}
    assert [file.name for file in pictures if file.name not in used] == []
    assert sum(file.stat().st_size for file in pictures) < 500_000


def map_script():
    spec = importlib.util.spec_from_file_location("map_script", DOCS / "map.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_map_shows_every_module_and_nothing_that_is_gone():
    page = read(DOCS / "architecture.md")
    written = map_script().written(page)
    assert page == written, "make map"
    shown = re.findall(r"^- `([^`]+)`: ", page, re.MULTILINE)
    assert [path for path in shown if not (ROOT / path).exists()] == []


def test_the_reference_is_written_from_the_parsers():
    spec = importlib.util.spec_from_file_location("reference_script", DOCS / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert read(DOCS / "reference.md") == module.written(), "make reference"


def test_every_make_target_exists():
    makefile = read(ROOT / "Makefile")
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", everything(), re.MULTILINE))
    assert "quickstart" in named
    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()


def test_the_code_imports_what_exists():
    blocks = python_blocks(everything())
    assert len(blocks) >= 8
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_code_that_opens_a_bundle_runs(tmp_path, monkeypatch, bundles):
    (tmp_path / "quickstart").mkdir()
    bundles.make_bundle(tmp_path / "quickstart" / "bundle")
    monkeypatch.chdir(tmp_path)
    [block] = [block for block in python_blocks(read(DOCS / "python.md")) if "pocketvae.open(" in block]
    assert run_blocks([block])["image"].shape == (1, 6, 6, 1)


def test_the_code_for_other_engines_runs():
    latents = run_blocks(python_blocks(read(DOCS / "clusters.md")))["latents"]
    assert list(latents.columns) == ["id", "z_mean", "z_log_var"]
    assert len(latents) == 100


@pytest.mark.slow
def test_the_code_that_generates_images_runs(tmp_path, monkeypatch, tiny_bundle):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "bundle").symlink_to(tiny_bundle)
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(read(DOCS / "generating.md"))
    assert len(blocks) == 2
    names = run_blocks(blocks)
    assert len(names["images"]) == 100
    assert names["image"].shape == names["images"][0].shape == (1, 28, 28, 1)


def test_the_changelog_begins_with_what_is_not_released():
    headings = re.findall(r"^## (.+)$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
