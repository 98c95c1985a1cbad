"""Custom limits from `pocketvae.toml`, which override those of the manifest."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError, unknown_name
from pocketvae.numerics.metrics import METRICS, POSTERIOR, is_posterior
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.parsing import parse_toml, quoted, shortened
from pocketvae.spec import Component

CONFIG_NAME = "pocketvae.toml"
_SECTIONS = ("limits",)


@dataclass(frozen=True, kw_only=True)
class Override:
    """One custom limit.

    Attributes:
        pattern: An artifact's file name, or a pattern such as `decoder.int8*`.
        output: Name of an output, or `posterior`.
        metric: A name of `pocketvae.numerics.metrics`.
        limit: Largest value that passes.
        source: The file that it comes from.
    """

    pattern: str
    output: str
    metric: str
    limit: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one file, in order: if several match, the last one counts."""

    overrides: tuple[Override, ...] = ()

    def check(self, artifacts: Sequence[ArtifactRecord]) -> None:
        """Refuses limits that would have no effect: an unused limit is a mistake that looks like a check.

        Raises:
            SpecError: a pattern does not match any artifact, or none that has the output.
        """
        for override in self.overrides:
            matching = [artifact for artifact in artifacts if fnmatch.fnmatchcase(artifact.name, override.pattern)]
            if not matching:
                raise unknown_name("artifact", override.pattern, [artifact.name for artifact in artifacts])
            outputs = dict.fromkeys(name for artifact in matching for name in _outputs(artifact))
            if override.output not in outputs:
                raise unknown_name(f"output of {override.pattern}", override.output, outputs)

    def apply(self, artifact: ArtifactRecord) -> tuple[Tolerance, ...]:
        """Returns an artifact's tolerances with overrides applied and new ones appended."""
        chosen = {(item.output, item.metric): item for item in artifact.tolerances}
        for override in self.overrides:
            if fnmatch.fnmatchcase(artifact.name, override.pattern) and override.output in _outputs(artifact):
                chosen[override.output, override.metric] = Tolerance(
                    output=override.output, metric=override.metric, limit=override.limit, source=override.source
                )
        return tuple(chosen.values())


def parse_limits(text: str, name: str) -> Limits:
    """Parses `[limits."ARTIFACT".OUTPUT]` tables of `METRIC = NUMBER`.

    Args:
        text: The TOML.
        name: Name of the file in errors and as the source of its limits.

    Raises:
        SpecError: the text is not TOML, a key or metric is unknown, or a limit is not a number that can be met.
    """
    try:
        data = parse_toml(text)
    except ValueError as e:
        raise SpecError(f"{name} is not valid TOML: {e}") from e
    for key in data:
        if key not in _SECTIONS:
            raise unknown_name(f"key in {name}:", key, _SECTIONS)
    return Limits(
        overrides=tuple(
            _override(pattern, output, metric, value, name)
            for pattern, outputs in _table(data.get("limits", {}), f"limits in {name}").items()
            for output, metrics in _table(outputs, f'limits."{pattern}" in {name}').items()
            for metric, value in _table(metrics, f'limits."{pattern}".{output} in {name}').items()
        )
    )


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(
            f'{shortened(where)} must be a table such as [limits."decoder.int8.*".image], got {quoted(value)}'
        )
    return value


def _override(pattern: str, output: str, metric: str, value: Any, name: str) -> Override:
    if metric not in METRICS:
        raise unknown_name(f"metric in {name}:", metric, METRICS)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # A whole number may be too large for a float.
    if not number or not 0 <= value <= sys.float_info.max:
        raise SpecError(
            f"the limit of {shortened(pattern)} {shortened(output)} {metric} in {name} must be a number from 0 up, "
            f"got {quoted(value)}"
        )
    return Override(pattern=pattern, output=output, metric=metric, limit=float(value), source=name)


def _outputs(artifact: ArtifactRecord) -> tuple[str, ...]:
    names = tuple(spec.name for spec in artifact.outputs)
    return (*names, POSTERIOR) if artifact.component is Component.ENCODER and is_posterior(names) else names
