"""The model card's section on quantization."""

from __future__ import annotations

from collections.abc import Iterable

from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.bundle.quantization import SearchRecord, TrialRecord
from pocketvae.formats.layers import summarize_layers


def quantization_section(manifest: Manifest) -> list[str]:
    """Returns Markdown lines: the precision of each file's layers, and of each search its front and findings."""
    lines = ["| file | layers with weights |", "|---|---|"]
    lines += [f"| {artifact.name} | {summarize_layers(artifact.layers)} |" for artifact in manifest.artifacts]
    coverage = manifest.calibration.coverage
    if coverage:
        shares = ", ".join(f"{share:.2%} of the {kind} ones" for kind, share in coverage.items())
        lines += ["", f"Golden latents within the range of the calibration latents: {shares}."]
    for artifact, search in _searches(manifest.artifacts):
        lines += ["", f"### {artifact.name}", "", *_findings(search), "", *_front(search)]
    return lines


def _searches(artifacts: Iterable[ArtifactRecord]) -> list[tuple[ArtifactRecord, SearchRecord]]:
    return [(artifact, artifact.search) for artifact in artifacts if artifact.search]


def _findings(search: SearchRecord) -> list[str]:
    lines = [f"- Chosen: {search.reason}; {search.trial_count} variants were tried. Recipe: {search.recipe}."]
    worst = search.worst_layer
    if worst:
        lines.append(f"- Worst layer: {_short(worst.name)}, alone {worst.error_ratio_alone:.0%} of the budget.")
    for item in search.inputs:
        shares = ", ".join(f"{kind} {share:.2%}" for kind, share in item.clipped.items())
        lines.append(f"- Integers of `{item.input}` hold {item.low:.3g} to {item.high:.3g}; clipped: {shares}.")
    dead = [layer for layer in search.layers if layer.dead_channels]
    for layer in dead:
        channels = ", ".join(str(channel) for channel in layer.dead_channels[:8])
        more = ", ..." if len(layer.dead_channels) > 8 else ""
        lines.append(f"- Dead channels of {_short(layer.name)}: {channels}{more} of {layer.channels}.")
    least = min((layer.inside_integers for layer in search.layers), default=1.0)
    lines.append(f"- Activations within the integers' range: {least:.2%} or more in every layer.")
    if len(search.seeds) > 1:
        spread = [seed.error_ratio for seed in search.seeds]
        lines.append(
            f"- With {len(spread)} calibration seeds: {min(spread):.0%} to {max(spread):.0%} of the budget"
            f"{', so that some miss it' if search.broken_seeds else ''}."
        )
    return lines


def _front(search: SearchRecord) -> list[str]:
    lines = ["| bytes | of the budget | errors | µs | float layers |", "|---:|---:|---|---:|---|"]
    for trial in search.front or (search.chosen,):
        lines.append(_row(trial, chosen=trial == search.chosen))
    return lines


def _row(trial: TrialRecord, *, chosen: bool) -> str:
    errors = ", ".join(f"{name} {value:.3g}" for name, value in sorted(trial.errors.items()))
    layers = ", ".join(_short(name) for name in trial.float_layers) or "none"
    mark = " (chosen)" if chosen else ""
    cells = f"{trial.size_bytes}{mark} | {trial.error_ratio:.0%} | {errors} | {1e6 * trial.latency_s:.1f} | {layers}"
    return f"| {cells} |"


def _short(layer: str) -> str:
    return "/".join(layer.split(";")[0].split("/")[:2])
