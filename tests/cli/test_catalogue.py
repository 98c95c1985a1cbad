import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pocketvae.cli.catalogue import COMMANDS, GROUPS, examples, filled, overview
from pocketvae.cli.main import build_parser

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, one in COMMANDS.items() for line in one.examples])
def test_every_example_is_understood(name, line):
    words = shlex.split(line)
    assert words[0] == name
    assert build_parser(name).parse_args(words).command == name


def test_the_groups_are_those_of_the_reference():
    rows = re.findall(r"^\| ([a-z ]+) \| (\[.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {title: re.findall(r"\[([a-z-]+)\]", links) for title, links in rows}
    documented = {title: [name for name in names if name in COMMANDS] for title, names in documented.items()}
    assert {title: sorted(names) for title, names in documented.items() if names} == {
        title: sorted(group) for title, group in GROUPS.items()
    }


def test_every_command_is_listed_below_its_group_within_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = overview().splitlines()
    assert max(map(len, lines)) <= 58
    group = lines.index("make a bundle:")
    assert lines[group + 1].split()[0] == "train"
    listed = [line.split()[0] for line in lines if re.match(r"  \S", line)]
    assert listed == list(COMMANDS)


def test_words_with_hyphens_stay_whole(monkeypatch):
    for columns in range(40, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert "self-test" in overview()
        assert "variational-autoencoder" in filled("A variational-autoencoder " * 5)


def test_examples_begin_with_the_program():
    assert examples("doctor") == "example:\n  pocketvae doctor"
    assert examples("train").splitlines()[0] == "examples:"


def test_no_help_waits_for_numpy():
    code = (
        "import contextlib, io, sys\n"
        "from pocketvae.cli.catalogue import COMMANDS\n"
        "from pocketvae.cli.main import build_parser\n"
        "for name in COMMANDS:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        build_parser(name).parse_args([name, '--help'])\n"
        "    assert 'numpy' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
