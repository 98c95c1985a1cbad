"""The commands: what each does, grouped by what they are for, and a line to begin with."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_INDENT = "  "
_NARROWEST, _WIDEST = 40, 110


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        summary: What it does, without a full stop.
        examples: Command lines without the program's name, in the order in which to try them.
    """

    summary: str
    examples: tuple[str, ...]


# By group; the groups are those of docs/commands.md.
GROUPS: dict[str, dict[str, Command]] = {
    "see everything once": {
        "quickstart": Command(
            summary="train, export, verify, bench and report on the embedded MNIST",
            examples=("quickstart --out quickstart",),
        ),
    },
    "make a bundle": {
        "train": Command(
            summary="train a VAE: images in, a run directory out",
            examples=(
                "train --data mnist --out run",
                "train --data pump/ --preset sensor-tiny --stride 16 --out run",
            ),
        ),
        "evaluate": Command(
            summary="compute the figures that papers report: -log p(x), ELBO, bits per dimension",
            examples=("evaluate run",),
        ),
        "distil": Command(
            summary="train a smaller and faster decoder on what a decoder decodes: a run or bundle in, a run out",
            examples=(
                "distil quickstart/run --speedup 3 --out small",
                "distil bundle --max-kb 100 --out small --budget-db 0.5 --resume",
            ),
        ),
        "export": Command(
            summary="export a run or user-supplied models as TFLite and ONNX: a bundle out",
            examples=(
                "export run --out bundle",
                "export --decoder decoder.keras --encoder encoder.keras --out bundle",
                "export --vae vae.keras --out bundle",
            ),
        ),
    },
    "check and time it": {
        "verify": Command(
            summary="compare every artifact of a bundle with the original model",
            examples=("verify bundle --json verify.json --junit verify.xml --markdown verify.md --html verify.html",),
        ),
        "bench": Command(
            summary="time every artifact of a bundle alongside the original model",
            examples=("bench bundle --baseline released-bundle --no-original",),
        ),
        "compare": Command(
            summary="show what changed between two results or two bundles",
            examples=("compare old/bundle new/bundle --markdown changes.md",),
        ),
        "history": Command(
            summary="keep results in one file, and show what has changed since when",
            examples=(
                "history add verify.json bench.json",
                "history show --html history.html",
            ),
        ),
        "inspect": Command(
            summary="describe a run, a bundle or one artifact",
            examples=("inspect quickstart/bundle", "inspect quickstart/bundle/decoder.int8_io.tflite"),
        ),
    },
    "run it on other devices": {
        "matrix": Command(
            summary="compare every artifact on every target with this machine",
            examples=("matrix bundle --targets host,arm64,node,tflm,chromium --html matrix.html --json matrix.json",),
        ),
        "targets": Command(
            summary="list where artifacts can run, and set up such a target",
            examples=("targets", "targets setup arm64 node"),
        ),
        "app": Command(
            summary="write a project for Android, iOS, the web, Flutter or React Native that draws images from seeds",
            examples=(
                "app quickstart/bundle --platform android --out digits",
                "app demo --platform web --out page",
            ),
        ),
        "embed-c": Command(
            summary="write a TFLite file of a bundle as C++ source, for firmware",
            examples=("embed-c bundle --artifact decoder.int8.tflite --out firmware",),
        ),
        "firmware": Command(
            summary="write a C++ project for a microcontroller: model, memory, self-test",
            examples=("firmware bundle --out firmware --check",),
        ),
    },
    "make images": {
        "generate": Command(
            summary="draw images from the prior, by seed: one, a grid, or any number of files",
            examples=("generate quickstart/bundle --seed 7 --count 100 --out grid.png",),
        ),
        "reconstruct": Command(
            summary="encode images or other data and decode them again",
            examples=("reconstruct quickstart/bundle mnist --count 50 --out reconstructions.png",),
        ),
        "interpolate": Command(
            summary="move from one latent to another: a strip or an animation",
            examples=("interpolate quickstart/bundle --seeds 1,2,3 --out tour.gif",),
        ),
        "traverse": Command(
            summary="change one latent dimension at a time, the most active first",
            examples=("traverse quickstart/bundle --dimensions 8 --out traversal.png",),
        ),
        "explore": Command(
            summary="open a local page that runs the exported decoder in the browser",
            examples=("explore quickstart/bundle",),
        ),
    },
    "use latents": {
        "encode": Command(
            summary="write the latents of images or other data as a table",
            examples=("encode quickstart/bundle mnist --out latents.parquet",),
        ),
        "compress": Command(
            summary="compress images or other data to one small file",
            examples=(
                "compress quickstart/bundle mnist --fit",
                "compress quickstart/bundle photo.png --out photo.pvae --quality 8",
            ),
        ),
        "decompress": Command(
            summary="restore what a compressed file holds",
            examples=("decompress quickstart/bundle mnist.pvae --out mnist.npz",),
        ),
        "score": Command(
            summary="find anomalies: images or other data unlike those that the VAE was trained on",
            examples=(
                "score quickstart/bundle mnist --calibrate --calibration normal.json",
                "score quickstart/bundle photos/ --resize --calibration normal.json --csv scores.csv",
            ),
        ),
    },
    "know what works here": {
        "doctor": Command(summary="show what is installed and what works here", examples=("doctor",)),
    },
}

COMMANDS: dict[str, Command] = {name: entry for group in GROUPS.values() for name, entry in group.items()}


def overview() -> str:
    """Returns all commands by group, laid out for the terminal's width."""
    return "\n\n".join("\n".join(_lines(title, group)) for title, group in GROUPS.items())


def examples(command: str) -> str:
    """Returns the examples of one command, a line each."""
    found = COMMANDS[command].examples
    return "\n".join([f"example{'s' if len(found) > 1 else ''}:", *(f"{_INDENT}pocketvae {line}" for line in found)])


def filled(text: str) -> str:
    """Returns a paragraph laid out for the terminal's width."""
    return textwrap.fill(text, _width(), break_on_hyphens=False)


def _lines(title: str, group: dict[str, Command]) -> Iterator[str]:
    longest = max(map(len, COMMANDS))
    yield f"{title}:"
    for name, entry in group.items():
        head = f"{_INDENT}{name:<{longest}}{_INDENT}"
        yield textwrap.fill(
            entry.summary,
            _width(),
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_on_hyphens=False,
        )


def _width() -> int:
    return min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size().columns - 2))
