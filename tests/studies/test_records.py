"""What the studies share: recorded commands, and how a study ends."""

import pytest

from pocketvae.errors import SpecError


@pytest.fixture
def records(study):
    return study("records")


def test_a_recorded_command_holds_no_path_of_this_machine(records):
    words = ["--preset", "mnist", "--torch-python", "/somewhere/python", "--json=/else/where.json", "--set", "a=b/c"]
    assert records.portable_command("scaling", words) == (
        "python studies/scaling.py --preset mnist --torch-python python --json=where.json --set a=b/c"
    )
    assert records.without_paths("no such file: /home/x/y.json (2)") == "no such file: PATH (2)"


@pytest.mark.parametrize(("error", "code"), [(SpecError("rounds must be at least 1"), 2), (KeyboardInterrupt(), 130)])
def test_a_study_ends_with_a_code_and_one_line(records, capsys, error, code):
    def run(words):
        assert words == ["--rounds", "0"]
        raise error

    assert records.run_study("scaling", ["--rounds", "0"], list, run) == code
    assert capsys.readouterr().err == ("scaling: rounds must be at least 1\n" if code == 2 else "")
    assert records.run_study("scaling", [], list, len) == 0
