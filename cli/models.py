"""Options shared by the commands that run a bundle's models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pocketvae.errors import SpecError
from pocketvae.parsing import parse_names, shortened

if TYPE_CHECKING:
    from pocketvae.apps import Choice
    from pocketvae.data.windows import Windowing


class _Threads(argparse.Action):
    """Checks the number before images are read and bundles are opened."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, *_: object) -> None:
        from pocketvae.system.limits import check_threads

        check_threads(value)
        setattr(namespace, self.dest, value)


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose the artifacts."""
    parser.add_argument(
        "--precision", metavar="P", default="float32", help="precision of the models (default: float32)"
    )
    parser.add_argument("--format", metavar="F", help="tflite or onnx (default: the first that this machine can run)")
    parser.add_argument(
        "--threads", metavar="N", type=int, default=1, action=_Threads, help="threads used by one call (default: 1)"
    )


def choice(arguments: argparse.Namespace) -> Choice:
    """Returns the chosen artifacts.

    Raises:
        SpecError: a name is unknown.
    """
    from pocketvae.apps import Choice
    from pocketvae.spec import Format, Precision, parse_choice

    return Choice(
        precision=parse_choice(Precision, arguments.precision, "precision"),
        format=None if arguments.format is None else parse_choice(Format, arguments.format, "format"),
        num_threads=arguments.threads,
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Adds the images or other data to work on."""
    parser.add_argument(
        "images",
        metavar="IMAGES",
        help="mnist, an image file, a folder, an .npz, .npy or idx file; other data: an .npz, .npy or .csv file; "
        "sequences: recordings too (.csv, .parquet, .wav, .flac or a folder of them), cut into windows",
    )
    parser.add_argument(
        "--resize", action="store_true", help="scale images to the model's size and convert between grey and colour"
    )
    parser.add_argument("--count", metavar="N", type=int, help="the first N of them (default: all)")
    add_windowing(parser)


def add_windowing(parser: argparse._ActionsContainer) -> None:
    """Adds how recordings are read and cut."""
    parser.add_argument(
        "--stride",
        metavar="STEPS",
        type=int,
        help="of recordings: time steps from one window to the next (default: the model's length)",
    )
    parser.add_argument("--channels", metavar="NAMES", help="of recordings: columns to use, for example ax,ay,az")
    parser.add_argument(
        "--fill-gaps", metavar="STEPS", type=int, help="of recordings: fill in runs of up to STEPS missing values"
    )


def column_names(text: str) -> tuple[str, ...]:
    """Returns the columns that `--channels` names.

    Raises:
        SpecError: one is empty, or its quotes do not match.
    """
    try:
        return parse_names(text)
    except ValueError as e:
        raise SpecError(
            f"--channels must be names such as ax,ay,az, those with a comma in double quotes, got {shortened(text)!r}"
        ) from e


def windowing(arguments: argparse.Namespace) -> Windowing:
    """Returns how recordings are read and cut.

    Raises:
        SpecError: the stride is below 1, or the names of channels are none.
    """
    from pocketvae.data.windows import Windowing

    if arguments.stride is not None and arguments.stride < 1:
        raise SpecError(f"--stride must be at least 1 time step, got {arguments.stride}")
    names = () if arguments.channels is None else column_names(arguments.channels)
    truth = getattr(arguments, "truth", None) or ""
    if truth and truth in names:
        raise SpecError(f"--truth names {truth!r}, which --channels takes for a channel: name another")
    return Windowing(
        stride=arguments.stride or 0, channels=names, truth=truth, fill_gaps=getattr(arguments, "fill_gaps", None) or 0
    )


def add_label(parser: argparse.ArgumentParser) -> None:
    """Adds the class of a conditional VAE."""
    parser.add_argument("--label", metavar="L", type=int, help="class, for a class-conditional VAE")


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """Adds the conditions of a VAE that takes more than one label."""
    parser.add_argument(
        "--condition",
        metavar="NAME=VALUES",
        action="append",
        default=[],
        help="value of a condition by name, numbers separated by commas; once for each condition",
    )


def named_conditions(words: list[str]) -> dict[str, str]:
    """Parses values of conditions.

    Raises:
        SpecError: a word does not have this form.
    """
    pairs = [word.partition("=") for word in words]
    for (name, _, values), word in zip(pairs, words, strict=True):
        if not name or not values:
            raise SpecError(f"--condition takes NAME=VALUES such as digit=3 or pose=0.5,1, got {word!r}")
    names = [name for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise SpecError(f"--condition takes each name once, got {', '.join(names)}")
    return {name: values for name, _, values in pairs}


def seeds(text: str) -> tuple[int, ...]:
    """Parses a comma-separated list of seeds.

    Raises:
        SpecError: an item is not an integer.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as e:
        raise SpecError(f"seeds must be integers such as 1,2, got {text!r}") from e
