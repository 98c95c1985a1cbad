"""verify and bench on a fleet: `--targets fleet.toml`, with `--select`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae.benchmarks import BenchConfig, BenchResult, VerifyResult
    from pocketvae.benchmarks.devices import Fleet
    from pocketvae.benchmarks.fleet.config import FleetConfig

_SUFFIX = ".toml"


def add_arguments(parser: argparse._ActionsContainer) -> None:
    """Adds `--targets` and `--select`."""
    parser.add_argument(
        "--targets", metavar="LIST", default="host", help="where to run, or the file of a fleet (default: host)"
    )
    parser.add_argument(
        "--select", metavar="LABELS", help="with a fleet: devices with these labels, such as model=pixel-*,site=berlin"
    )


def is_fleet(arguments: argparse.Namespace) -> bool:
    """Whether the targets are a fleet.

    Raises:
        SpecError: they are not, and some are to be selected.
    """
    if arguments.targets.endswith(_SUFFIX) and "," not in arguments.targets:
        return True
    if arguments.select is not None:
        raise SpecError("--select needs a fleet: --targets fleet.toml")
    return False


def refuse(arguments: argparse.Namespace, names: tuple[str, ...]) -> None:
    """Refuses options that are not for many devices.

    Raises:
        SpecError: one is given.
    """
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name) not in (None, False)]
    if given:
        raise SpecError(f"{', '.join(given)} cannot be used with a fleet: name one of its targets instead")


def read(arguments: argparse.Namespace) -> FleetConfig:
    """Returns the fleet, or what is selected of it.

    Raises:
        SpecError: its file or the selection is wrong.
    """
    from pocketvae.benchmarks.fleet.config import read_fleet
    from pocketvae.benchmarks.fleet.selection import selected

    fleet = read_fleet(Path(arguments.targets))
    return fleet if arguments.select is None else selected(fleet, arguments.select)


def expanded(words: list[str]) -> list[tuple[str, str]]:
    """Returns names of targets, each with the name of its device: in place of a fleet those of all of its devices.

    A target that is named as such has no device, an empty name.

    Raises:
        SpecError: the file of a fleet is wrong.
    """
    from pocketvae.benchmarks.fleet.config import read_fleet

    found: list[tuple[str, str]] = []
    for word in words:
        is_file = word.endswith(_SUFFIX)
        found += (
            [(device.target, device.name) for device in read_fleet(Path(word)).devices] if is_file else [(word, "")]
        )
    return found


def verify(arguments: argparse.Namespace, fleet: FleetConfig) -> int:
    """Verifies, prints and writes; returns 1 if a check failed, 3 if something could not run.

    Raises:
        KeyboardInterrupt: it was interrupted; what was done is written.
    """
    from pocketvae.benchmarks import junit_xml
    from pocketvae.benchmarks.fleet.page import parity_markdown, parity_page
    from pocketvae.benchmarks.fleet.run import verify_fleet
    from pocketvae.bundle.bundle import open_with_damage
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text

    with Terminal(quiet=arguments.quiet) as terminal:
        found = verify_fleet(
            open_with_damage(arguments.bundle),
            fleet,
            num_threads=arguments.threads,
            config=arguments.config,
            worst=arguments.save_worst,
            progress=terminal.step,
        )
    result, record = found.result, _record(found.result)
    # Print first what took long to compute: a full disk must not lose it.
    _print_parity(terminal, result, record, in_detail=arguments.details)
    for path, form in ((arguments.json, encode), (arguments.junit, junit_xml)):
        if path is not None:
            write_text(path, form(result))
    for path, shown in ((arguments.html, parity_page), (arguments.markdown, parity_markdown)):
        if path is not None:
            write_text(path, shown(result, record))
    _raise_again(found.interruption, record, arguments)
    return common.exit_code(result)


def bench(arguments: argparse.Namespace, fleet: FleetConfig, config: BenchConfig) -> int:
    """Times, prints and writes; returns 3 if something could not run.

    Raises:
        KeyboardInterrupt: it was interrupted; what was done is written.
    """
    from pocketvae.benchmarks.fleet.page import latency_markdown, latency_page
    from pocketvae.benchmarks.fleet.run import bench_fleet
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text

    with Terminal(quiet=arguments.quiet) as terminal:
        found = bench_fleet(open_bundle(arguments.bundle), fleet, config, progress=terminal.step)
    result, record = found.result, _record(found.result)
    _print_latency(terminal, record)
    if arguments.json is not None:
        write_text(arguments.json, encode(result))
    for path, shown in ((arguments.html, latency_page), (arguments.markdown, latency_markdown)):
        if path is not None:
            write_text(path, shown(result, record))
    _raise_again(found.interruption, record, arguments)
    return 3 if result.not_run or not result.elsewhere else 0


def _record(result: VerifyResult | BenchResult) -> Fleet:
    assert result.fleet is not None  # noqa: S101 - it was run on one
    return result.fleet


def _print_parity(terminal: Terminal, result: VerifyResult, fleet: Fleet, *, in_detail: bool) -> None:
    from pocketvae.benchmarks import diagnosis_lines
    from pocketvae.benchmarks.fleet import tables

    terminal.table(*tables.devices_table(fleet, result), less=tables.DEVICES_LESS)
    terminal.table(*tables.parity_models_table(result, fleet), less=tables.MODELS_LESS)
    if in_detail:
        terminal.table(*tables.parity_artifacts_table(result, fleet), less=tables.MODELS_LESS)
        for line in diagnosis_lines(result):
            terminal.line(line)
    lines = (*tables.failure_lines(fleet), *tables.device_lines(fleet), *result.notes)
    for line in (*lines, tables.parity_line(result, fleet)):
        terminal.line(line)


def _print_latency(terminal: Terminal, fleet: Fleet) -> None:
    from pocketvae.benchmarks.fleet import tables
    from pocketvae.benchmarks.fleet.outliers import RULE

    terminal.table(*tables.devices_table(fleet), less=tables.DEVICES_LESS)
    terminal.table(*tables.latency_models_table(fleet))
    if any(item.outliers for item in fleet.latency):
        terminal.line(RULE)
    for line in (*tables.device_lines(fleet), tables.fleet_line(fleet)):
        terminal.line(line)


def _raise_again(interruption: KeyboardInterrupt | None, fleet: Fleet, arguments: argparse.Namespace) -> None:
    """Raises what ended a run early, with a note on what was kept."""
    if interruption is None:
        return
    ended = len(fleet.devices) - len(fleet.unfinished)
    place = arguments.json or arguments.html
    where = f"written to {place}" if place else "printed above"
    interruption.add_note(f"the results of {ended} of {len(fleet.devices)} devices were {where}")
    raise interruption
