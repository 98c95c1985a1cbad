"""The output of export and inspect about quantization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pocketvae.cli.terminal import Terminal
from pocketvae.layer_precision import short_layer_name

if TYPE_CHECKING:
    from pocketvae.bundle.manifest import ArtifactRecord
    from pocketvae.bundle.quantization import SearchRecord, TrialRecord
    from pocketvae.layer_precision import LayerPrecision


def print_fronts(artifacts: Iterable[ArtifactRecord], terminal: Terminal) -> None:
    """Prints the Pareto front of every artifact whose quantization was searched for."""
    searches = {artifact.name: artifact.search for artifact in artifacts if artifact.search}
    if searches:
        fronts = {name: _front(search) for name, search in searches.items()}
        # A column that is empty for nearly everybody would cost the others their width.
        in_four_bits = any(trial.four_bits for front in fronts.values() for trial in front)
        headers = ["Pareto front", "kB", "of the budget", "errors", "µs", "float layers"]
        headers += ["in 4 bits", ""] if in_four_bits else [""]
        rows = [
            [name if index == 0 else "", *_trial_cells(trial, in_four_bits), "chosen" if trial == search.chosen else ""]
            for name, search in searches.items()
            for index, trial in enumerate(fronts[name])
        ]
        terminal.table(headers, rows)
        terminal.line("kB without the metadata and golden pairs that an artifact holds beside its network")


def print_searches(artifacts: Iterable[ArtifactRecord], terminal: Terminal) -> None:
    """Prints the findings of each search: why, the worst layer, clipping, dead channels, other calibrations."""
    rows = [[artifact.name, *_findings(artifact.search)] for artifact in artifacts if artifact.search]
    if rows:
        terminal.table(["quantization", "chosen", "worst layer alone", "clipped", "dead channels", "seeds"], rows)


def print_layers(layers: tuple[LayerPrecision, ...], terminal: Terminal) -> None:
    """Prints the precision of each layer."""
    if not layers:
        terminal.line("no layers with weights")
        return
    rows = [
        [
            layer.name.split(";")[0],
            layer.operator,
            str(layer.weight_count),
            layer.weights,
            layer.granularity.replace("_", " "),
            layer.activations,
        ]
        for layer in layers
    ]
    terminal.table(["layer", "operator", "weights", "stored as", "scales", "activations"], rows)


def seed_warnings(artifacts: Iterable[ArtifactRecord]) -> list[str]:
    """Returns a line for each artifact whose plan misses the budget with other calibration samples."""
    return [
        f"{artifact.name} meets its error budget with its own calibration samples but not with others: "
        f"{len(broken)} of {len(artifact.search.seeds) - 1} seeds, {max(seed.error_ratio for seed in broken):.2f} "
        f"times the limit"
        for artifact in artifacts
        if artifact.search and (broken := artifact.search.broken_seeds)
    ]


def _front(search: SearchRecord) -> list[TrialRecord]:
    front = list(search.front)
    if search.chosen not in front:
        front = sorted([*front, search.chosen], key=lambda one: one.size_bytes)
    return front


def _trial_cells(trial: TrialRecord, in_four_bits: bool) -> list[str]:
    # Of one output the metric alone says which error it is.
    several = len({name.split()[0] for name in trial.errors}) > 1
    named = {name if several else name.split()[-1]: value for name, value in sorted(trial.errors.items())}
    errors = ", ".join(f"{name} {value:.2g}" for name, value in named.items())
    cells = [
        f"{trial.size_bytes / 1000:.1f}",
        f"{trial.error_ratio:.0%}",
        errors,
        f"{1e6 * trial.latency_s:.1f}",
        str(len(trial.float_layers)),
    ]
    return [*cells, str(len(trial.four_bits))] if in_four_bits else cells


def _findings(search: SearchRecord) -> list[str]:
    worst = search.worst_layer
    clipped = [
        f"{item.input} {kind} {share:.2%}" for item in search.inputs for kind, share in item.clipped.items() if share
    ]
    dead = sum(len(layer.dead_channels) for layer in search.layers)
    shares = [seed.error_ratio for seed in search.seeds]
    return [
        search.reason,
        f"{short_layer_name(worst.name)} {worst.error_ratio_alone:.0%} of the budget" if worst else "not measured",
        ", ".join(clipped) or ("nothing" if search.inputs else "input in float"),
        f"{dead} of {sum(layer.channels for layer in search.layers)}",
        f"{min(shares):.0%} to {max(shares):.0%} of the budget with {len(shares)}" if shares else "not tried",
    ]
