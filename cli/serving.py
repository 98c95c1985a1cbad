"""The options `--serving` and `--android-test` of export: what is written beside the bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli.outputs import check_apart
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError
from pocketvae.reporting.text import count_of
from pocketvae.spec import Format

if TYPE_CHECKING:
    from pocketvae.export import ExportConfig, ExportResult


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


def check_android_folder(arguments: argparse.Namespace) -> None:
    """Checks, before any work, that a test for Android can be written where there is to be one.

    Raises:
        OutputExistsError: its folder exists, and may not be replaced.
        SpecError: its folder is not beside the bundle.
    """
    from pocketvae.export import ANDROID_TEST_NAME, check_android_test

    if arguments.android_test is None:
        return
    check_apart("--android-test", arguments.out, arguments.android_test)
    common.check_replaceable(arguments.android_test, ANDROID_TEST_NAME, force=arguments.force)
    check_android_test(arguments.android_test, force=arguments.force)


def check(arguments: argparse.Namespace, config: ExportConfig) -> None:
    """Checks, before any work, that what is to be written beside the bundle can be made of its files.

    Raises:
        OutputExistsError: the model repository's folder exists, and may not be replaced.
        SpecError: its folder is not beside the bundle, or no ONNX file is to be made for it.
    """
    from pocketvae.export import check_triton

    formats = {artifact.format for artifact in config.artifacts}
    if arguments.serving is None:
        return
    if Format.ONNX not in formats:
        raise SpecError("--serving triton serves ONNX files, and none is to be made: add onnx to --formats")
    check_apart("--serving", arguments.out, arguments.serving)
    check_triton(arguments.serving, force=arguments.force)


def write(arguments: argparse.Namespace, result: ExportResult, terminal: Terminal) -> int:
    """Writes what is asked for beside the bundle; returns the exit code."""
    code = 0 if arguments.serving is None else _write_served(arguments, result, terminal)
    # Last: what no phone can test is known for certain only now.
    if arguments.android_test is not None:
        _write_android_test(arguments, terminal)
    return code


def _write_served(arguments: argparse.Namespace, result: ExportResult, terminal: Terminal) -> int:
    """Writes the model repository where there is something to serve; returns the exit code."""
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.export import write_triton

    if all(artifact.format is not Format.ONNX for artifact in result.manifest.artifacts):
        terminal.warn(f"no ONNX file could be made, and Triton serves no other: {arguments.serving} was not written")
        return 1
    names = write_triton(open_bundle(arguments.out), arguments.serving, force=arguments.force)
    terminal.line(f"model repository for Triton, {count_of(len(names), 'model')}: {arguments.serving}")
    return 0


def _write_android_test(arguments: argparse.Namespace, terminal: Terminal) -> None:
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.export import write_android_test

    for line in write_android_test(open_bundle(arguments.out), arguments.android_test, force=arguments.force):
        terminal.note(f"not in the test for Android: {line}")
    terminal.line(f"test for Android: {arguments.android_test}")
