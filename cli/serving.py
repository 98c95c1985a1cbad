"""The option `--serving` of export: a model repository for a server, beside the bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli.outputs import check_apart
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError
from pocketvae.reporting.text import count_of
from pocketvae.spec import Format

if TYPE_CHECKING:
    from pocketvae.export import ExportConfig


def add_argument(parser: argparse._ActionsContainer) -> None:
    """Adds the option."""
    parser.add_argument(
        "--serving",
        metavar="SERVER:DIR",
        type=_repository,
        help="also write a model repository for a server, beside the bundle: triton:models",
    )


def _repository(text: str) -> Path:
    """Returns the folder that `--serving` names."""
    server, _, name = text.partition(":")
    if server != "triton" or not name:
        raise SpecError(f"--serving takes triton:DIR, such as triton:models, got {text!r}")
    return Path(name)


def check(arguments: argparse.Namespace, config: ExportConfig) -> None:
    """Checks, before any work, that a model repository can be written where there is to be one.

    Raises:
        OutputExistsError: its folder exists, and may not be replaced.
        SpecError: its folder is not beside the bundle, or no ONNX file is to be made.
    """
    from pocketvae.export import check_triton

    if arguments.serving is None:
        return
    if all(artifact.format is not Format.ONNX for artifact in config.artifacts):
        raise SpecError("--serving triton serves ONNX files, and none is to be made: add onnx to --formats")
    check_apart("--serving", arguments.out, arguments.serving)
    check_triton(arguments.serving, force=arguments.force)


def write(arguments: argparse.Namespace, terminal: Terminal) -> None:
    """Writes the model repository from the bundle."""
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.export import write_triton

    names = write_triton(open_bundle(arguments.out), arguments.serving, force=arguments.force)
    terminal.line(f"model repository for Triton, {count_of(len(names), 'model')}: {arguments.serving}")
