from dataclasses import dataclass

import pytest

from pocketvae.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys):
    """Runs one command in this process."""

    def run(*words) -> Outcome:
        try:
            code = main([str(word) for word in words])
        except SystemExit as e:
            code = int(e.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def refused(command):
    """Runs a command that must refuse its input: exit 2, one or two lines that match, no result."""
    import re

    def run(pattern, *words, code=2) -> str:
        outcome = command(*words)
        lines = outcome.err.strip().splitlines()
        assert outcome.code == code, outcome
        assert len(lines) <= 2, outcome.err
        assert re.search(pattern, outcome.err), outcome.err
        assert "Traceback" not in outcome.err
        assert outcome.out == ""
        return outcome.err

    return run
