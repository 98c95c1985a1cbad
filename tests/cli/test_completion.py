import os
import subprocess
import sys

import pytest


def completions(tmp_path, line):
    """Returns what a shell is told to offer for a line."""
    answer = tmp_path / "answer"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    code = "from pocketvae.cli.main import program\nraise SystemExit(program())"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, check=True, timeout=120)
    return [word.strip() for word in answer.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pocketvae ex", {"export", "explore"}),
        ("pocketvae export --prec", {"--precisions"}),
        ("pocketvae verify --jso", {"--json"}),
    ],
)
def test_the_shell_is_offered_commands_and_their_options(tmp_path, line, offered):
    assert set(completions(tmp_path, line)) == offered


def test_options_of_other_commands_are_not_offered(tmp_path):
    found = completions(tmp_path, "pocketvae verify --")
    assert "--junit" in found
    assert "--preset" not in found
