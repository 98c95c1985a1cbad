"""A folder is replaced only as long as nothing in it is of others."""

import contextlib
import json

import pytest

from pocketvae.errors import OutputExistsError
from pocketvae.system import written


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ("", ""),
        ("build/x", ""),
        ("a.txt", "a.txt"),
        ("b/c/d.bin", "b/c/d.bin"),
        ("b/x", "b/x"),
        ("theirs/y", "theirs"),
        ("record.json", "a.txt, b"),
    ],
)
def test_a_folder_is_replaced_only_as_long_as_every_file_is_as_it_was_written(tmp_path, changed, found):
    written.check_untouched(tmp_path / "none", {})
    files = {"a.txt": "one", "b/c/d.bin": "two"}
    for name, text in {
        **files,
        "record.json": json.dumps({"files": written.file_hashes(files)}),
        changed: "mine",
    }.items():
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    refusal = pytest.raises(OutputExistsError, match=f"which --force would delete: {found}; choose another folder")
    with refusal if found else contextlib.nullcontext():
        written.check_untouched(tmp_path, written.recorded_hashes(tmp_path, "record.json"), {"build"})


def test_what_a_command_does_not_make_is_named_and_what_systems_leave_is_not(tmp_path):
    names = ("run.json", "*.keras", "checkpoints")
    written.check_nothing_else(tmp_path / "none", names)
    for name in ("run.json", "decoder.keras", ".DS_Store", ".run.json.0a1b2c3d.tmp"):
        (tmp_path / name).touch()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "anything").touch()
    written.check_nothing_else(tmp_path, names)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "bundle").mkdir()
    with pytest.raises(OutputExistsError, match=r"which --force would delete: bundle, notes.txt; move what you need$"):
        written.check_nothing_else(tmp_path, names)
