"""A test is found by the name of what it tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
# Tests of several rooms together, and of the project itself.
TOGETHER = ("end_to_end", "packaging")
# The code of EMBED.md in every language, which the modules of export/guide write together.
OF_A_FOLDER = {
    "export/guide/test_code.py",
    "export/test_several_outputs.py",
    "studies/test_imports.py",
    "train/test_signal_runs.py",
}
# A module, a program in JavaScript or a folder.
KINDS = (".py", ".mjs", ".js", "")


def test_every_test_is_named_after_what_it_tests():
    found = sorted(file.relative_to(TESTS) for file in TESTS.rglob("test_*.py"))
    assert len(found) > 100
    lost = []
    for test in found:
        subject = ROOT / test.parent / test.stem.removeprefix("test_")
        mirrors = any(Path(f"{subject}{kind}").exists() for kind in KINDS)
        if not mirrors and test.parts[0] not in TOGETHER:
            lost.append(test.as_posix())
    assert set(lost) - OF_A_FOLDER == set(), f"name them after a module, or put them into tests/{TOGETHER[0]}"


def test_the_longest_files_exist():
    [names] = re.findall(r"^LONGEST = \(\n(.*?)^\)", (TESTS / "conftest.py").read_text(), re.MULTILINE | re.DOTALL)
    files = re.findall(r'"(.+?)"', names)
    assert len(files) > 10
    assert [name for name in files if not (TESTS / name).is_file()] == []


def test_no_test_lies_where_pytest_does_not_look():
    outside = [file for file in ROOT.glob("*/**/test_*.py") if not file.is_relative_to(TESTS)]
    folders = {file.relative_to(ROOT).parts[0] for file in outside}
    assert folders <= {".venv", "build", "node_modules"}


def test_no_worker_imports_from_the_current_folder():
    """A file of the user's called `code.py` would run in the place of Python's own."""
    rooms = ("apps", "benchmarks", "cli", "core", "distil", "export", "train", "udf")
    sources = [file for room in rooms for file in (ROOT / room).rglob("*.py")]
    assert len(sources) > 100
    unsafe = [
        file.relative_to(ROOT).as_posix()
        for file in sources
        if re.search(r'sys\.executable,\s*"-m"', text := file.read_text("utf-8")) and "PYTHONSAFEPATH" not in text
    ]
    assert unsafe == []
