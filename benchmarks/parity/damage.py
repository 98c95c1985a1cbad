"""Damaged files of a bundle: each fails the check `content`, and only what needs it is not run."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.checks import structural_check
from pocketvae.benchmarks.parity.results import CONTENT, Check, Culprit, Diagnosis
from pocketvae.bundle.bundle import Bundle

_CHANGED = "it is not the file that was exported; everything else was verified without it"


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What a bundle's damaged files mean to one target.

    Attributes:
        checks: A failed one for each damaged file.
        not_run: The artifacts whose goldens are damaged.
        diagnoses: One for each damaged artifact.
    """

    checks: tuple[Check, ...]
    not_run: tuple[NotRun, ...]
    diagnoses: tuple[Diagnosis, ...]


def damage_on(bundle: Bundle, target: str) -> Damage:
    """Returns what a bundle's damaged files mean to a target; nothing where there are none."""
    damaged = bundle.damaged
    artifacts = [item.name for item in bundle.manifest.artifacts if item.file.path in damaged]
    goldens = {
        golden.component: next(file.path for file in golden.files() if file.path in damaged)
        for golden in bundle.manifest.goldens
        if any(file.path in damaged for file in golden.files())
    }
    return Damage(
        checks=tuple(structural_check(path, target, CONTENT, problem) for path, problem in damaged.items()),
        not_run=tuple(
            NotRun(
                artifact=item.name, target=target, reason=f"its goldens are damaged: {damaged[goldens[item.component]]}"
            )
            for item in bundle.manifest.artifacts
            if item.component in goldens and item.name not in artifacts
        ),
        diagnoses=tuple(
            Diagnosis(artifact=name, target=target, culprit=Culprit.FILE, evidence=(_CHANGED,)) for name in artifacts
        ),
    )
