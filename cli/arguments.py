"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import enum
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pocketvae.errors import OutputExistsError, SpecError
from pocketvae.spec import parse_choice

if TYPE_CHECKING:
    from pocketvae.benchmarks import VerifyResult

_Choice = TypeVar("_Choice", bound=enum.StrEnum)


def add_bundle(parser: argparse.ArgumentParser, *, files: bool = False) -> argparse.Action:
    """Adds the positional argument BUNDLE, and returns it.

    Args:
        parser: Of the command.
        files: Whether one file of a bundle will do.
    """
    alone = ", or one .tflite or .onnx file from it" if files else ""
    help = f"folder made by pocketvae export{alone}; demo is one inside the package"
    return parser.add_argument("bundle", metavar="BUNDLE", type=bundle_path, help=help)


def bundle_path(text: str) -> Path:
    """Returns the path of a bundle; that of the package's own for `demo`."""
    from pocketvae.bundle.demo import located

    return located(text)


def add_force(parser: argparse.ArgumentParser) -> None:
    """Adds `--force`."""
    parser.add_argument("--force", action="store_true", help="replace an earlier output of this command")


def choices(kind: type[_Choice], text: str | None, noun: str) -> tuple[_Choice, ...] | None:
    """Parses a comma-separated list of enum values; None stays None.

    Raises:
        SpecError: a value is unknown, or the list is empty.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise SpecError(f"at least one {noun} must be named, got {text!r}")
    return tuple(dict.fromkeys(parse_choice(kind, word, noun) for word in words))


def names(text: str) -> tuple[str, ...]:
    """Parses a comma-separated list of names."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def target_names(words: list[str]) -> tuple[str, ...]:
    """Returns the named targets; `all` stands for every kind that does not need another machine.

    Raises:
        SpecError: none is named.
    """
    if not words:
        raise SpecError("at least one target must be named; pocketvae targets lists them, and all stands for every one")
    if words != ["all"]:
        return tuple(dict.fromkeys(words))
    from pocketvae.benchmarks.targets import known_targets

    return tuple(name for name in known_targets() if name not in ("ssh", "android"))


def shown_targets(text: str, *, headed: bool) -> tuple[str, ...]:
    """Parses a list of targets; `headed` makes their browsers visible.

    Raises:
        SpecError: none is named.
    """
    found = names(text)
    if not found:
        raise SpecError("at least one target must be named, such as host; pocketvae targets lists them")
    return tuple(_headed(name) if headed and name.partition(":")[0] == "chromium" else name for name in found)


def _headed(name: str) -> str:
    return f"{name}+headed" if ":" in name else f"{name}:headed"


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """Parses a comma-separated list of integers and drops duplicates.

    Raises:
        SpecError: an item is not an integer.
    """
    try:
        return tuple(dict.fromkeys(int(word) for word in text.split(",")))
    except ValueError as e:
        raise SpecError(f"{option} takes integers such as 1 or 1,2, got {text!r}") from e


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Parses a comma-separated list of numbers.

    Raises:
        SpecError: an item is not a number.
    """
    try:
        return tuple(dict.fromkeys(float(word) for word in text.split(",")))
    except ValueError as e:
        raise SpecError(f"{option} takes numbers such as 10 or 10,60, got {text!r}") from e


def exit_code(result: VerifyResult) -> int:
    """Returns 1 where a check failed, 3 where something could not run, else 0."""
    from pocketvae.benchmarks.parity.results import Verdict

    return {Verdict.PASSED: 0, Verdict.FAILED: 1, Verdict.INCOMPLETE: 3}[result.verdict]


def check_replaceable(path: Path, marker: str, *, force: bool, names: Collection[str] = ("*",)) -> None:
    """Keeps --force from deleting what pocketvae did not make: a mistyped --out must not delete an unrelated folder.

    Args:
        path: What the command makes.
        marker: The file by which a folder of this command is known.
        force: Whether it may be replaced.
        names: Patterns of all that the command makes in the folder; by default all names.

    Raises:
        OutputExistsError: `path` is a file, or a folder that is not empty and has no file `marker`, or has others.
    """
    if not force or not path.exists():
        return
    if path.is_dir() and (not any(path.iterdir()) or (path / marker).is_file()):
        from pocketvae.system.written import check_nothing_else

        check_nothing_else(path, names)
        return
    raise OutputExistsError(f"--force only replaces an empty folder or one with a {marker}, and {path} is neither")


def check_folder_output(path: Path | None) -> None:
    """Checks, before any work, that a folder of results can be created.

    Raises:
        SpecError: it is a file, or the folder above it does not exist.
        DataError: it takes no new files, or the folder above it does not.
    """
    if path is None:
        return
    if path.exists() and not path.is_dir():
        raise SpecError(f"results must go to a folder, got the file {path}")
    if not path.absolute().parent.is_dir():
        from pocketvae.system.files import folder_advice

        raise SpecError(f"the folder of {path} does not exist: {folder_advice(path.absolute().parent)}")
    from pocketvae.system.files import check_takes_files

    check_takes_files(path / "x" if path.is_dir() else path)


def check_file_output(path: Path | None) -> None:
    """Checks, before any work, that a result file can be written.

    Raises:
        SpecError: its folder does not exist, or it is a folder itself.
        DataError: its folder takes no new files.
    """
    if path is None:
        return
    if path.is_dir():
        raise SpecError(f"a result file must not be a folder, got {path}")
    if path.name == "-":
        raise SpecError("a result file must have a name, got -: /dev/stdout is this command's output")
    if not path.absolute().parent.is_dir():
        raise SpecError(f"the folder of {path} does not exist: create it first")
    from pocketvae.system.files import check_takes_files

    check_takes_files(path)
