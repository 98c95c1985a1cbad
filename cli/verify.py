"""The command `pocketvae verify`."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import fleet
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae.benchmarks import Verification, VerifyResult
    from pocketvae.benchmarks.drift.images import DriftImages
    from pocketvae.bundle.bundle import Bundle


# Options of one target, or of this machine whatever the targets are.
_OF_FEW = ("headed", "thorough", "layers")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser, files=True)
    fleet.add_arguments(parser)
    parser.add_argument("--headed", action="store_true", help="show the browser of the target chromium")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="threads used by one call (default: 1)")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="custom limits (default: pocketvae.toml next to the bundle)"
    )
    parser.add_argument("--details", action="store_true", help="also print PSNR, SSIM and other figures")
    parser.add_argument("--thorough", action="store_true", help="also test likelihood and samples; takes longer")
    parser.add_argument("--data", metavar="SRC", help="images for --thorough, as for train (default: the golden ones)")
    parser.add_argument("--layers", action="store_true", help="compare every layer with that of the float32 file")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every check as JSON")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML for a CI system")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write a summary for a pull request")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with pictures")
    parser.add_argument(
        "--save-worst", metavar="DIR", type=Path, help="write each artifact's worst input and outputs as .npy and .png"
    )


def run(arguments: argparse.Namespace) -> int:
    """Verifies and prints one row per artifact; returns 1 if a check failed, 3 if something could not run."""
    from pocketvae.benchmarks.drift.thorough import thorough_images
    from pocketvae.benchmarks.targets import make_target
    from pocketvae.bundle.bundle import open_with_damage

    for path in (arguments.json, arguments.junit, arguments.markdown, arguments.html):
        common.check_file_output(path)
    common.check_folder_output(arguments.save_worst)
    _check_bundle_options(arguments)
    if arguments.data is not None and not arguments.thorough:
        raise SpecError("--data only applies to --thorough: add that option")
    if fleet.is_fleet(arguments):
        fleet.refuse(arguments, _OF_FEW)
        return fleet.verify(arguments, fleet.read(arguments))
    # A name that is wrong is refused before every file is read.
    for name in common.shown_targets(arguments.targets, headed=arguments.headed):
        make_target(name)
    with Terminal(quiet=arguments.quiet) as terminal:
        # Opened once, since that reads and hashes every file.
        bundle = None if _is_one_file(arguments.bundle) else open_with_damage(arguments.bundle)
        images = thorough_images(bundle, arguments.data) if bundle is not None and arguments.thorough else None
        verification = _verify(arguments, bundle, images, terminal)
    # Print first what took long to compute: a full disk must not lose it.
    _print(arguments, terminal, verification.result)
    _write(arguments, bundle, verification)
    if bundle is not None and verification.result.passed:
        terminal.next("bench", arguments.bundle)
    return common.exit_code(verification.result)


def _verify(
    arguments: argparse.Namespace, bundle: Bundle | None, images: DriftImages | None, terminal: Terminal
) -> Verification:
    from pocketvae.benchmarks import add_layers, add_thorough, verify_file, verify_in_detail

    verify = partial(verify_file, arguments.bundle) if bundle is None else partial(verify_in_detail, bundle)
    verification = verify(
        targets=common.shown_targets(arguments.targets, headed=arguments.headed),
        num_threads=arguments.threads,
        config=arguments.config,
        progress=terminal.step,
    )
    if bundle is not None and arguments.thorough:
        verification = add_thorough(bundle, verification, images, progress=terminal.step)
    return add_layers(bundle, verification) if bundle is not None and arguments.layers else verification


def _print(arguments: argparse.Namespace, terminal: Terminal, result: VerifyResult) -> None:
    from pocketvae.benchmarks import (
        VERIFY_LESS,
        declined_lines,
        diagnosis_lines,
        figures_table,
        layer_lines,
        remark_lines,
        verdict_line,
        verify_summary,
        verify_table,
    )

    if arguments.details:
        terminal.table(*verify_table(result), less=VERIFY_LESS)
        terminal.table(*figures_table(result))
        problems: list[str] = []
    else:
        headers, rows, problems = verify_summary(result)
        terminal.table(headers, rows, less=VERIFY_LESS)
    for line in (*problems, *result.notes, *remark_lines(result), *layer_lines(result), *diagnosis_lines(result)):
        terminal.line(line)
    terminal.line(verdict_line(result))
    for line in declined_lines(result):
        terminal.line(line)


def _is_one_file(path: Path) -> bool:
    return path.is_file() or (path.suffix in (".tflite", ".onnx") and not path.is_dir())


def _check_bundle_options(arguments: argparse.Namespace) -> None:
    """Refuses, for a single file, options that need a bundle's goldens and manifest."""
    if not _is_one_file(arguments.bundle):
        return
    options = {
        "--html": arguments.html,
        "--save-worst": arguments.save_worst,
        "--layers": arguments.layers or None,
        "--thorough": arguments.thorough or None,
        "--targets with a fleet": fleet.is_fleet(arguments) or None,
    }
    for option, value in options.items():
        if value is not None:
            raise SpecError(f"{option} needs a bundle, but {arguments.bundle} is a single file")


def _write(arguments: argparse.Namespace, bundle: Bundle | None, verification: Verification) -> None:
    from pocketvae.benchmarks import junit_xml, save_worst, verify_markdown, write_report
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text

    result = verification.result
    for path, form in ((arguments.json, encode), (arguments.junit, junit_xml), (arguments.markdown, verify_markdown)):
        if path is not None:
            write_text(path, form(result))
    if bundle is not None and arguments.save_worst is not None:
        save_worst(bundle, arguments.save_worst, verification)
    if bundle is not None and arguments.html is not None:
        write_report(bundle, arguments.html, result, worst=verification.worst)
