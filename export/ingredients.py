"""The ingredients of an export: all that decides what an artifact becomes, as hashes by the name that a user knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pocketvae
from pocketvae.documents import to_data
from pocketvae.export.config import ExportConfig
from pocketvae.export.messages import Prepared, WorkerSetup
from pocketvae.export.original.composed import with_parts
from pocketvae.export.preparation import other_way
from pocketvae.spec import ArtifactSpec
from pocketvae.system import files
from pocketvae.system.environment import current_environment

# Name to SHA-256.
Ingredients: TypeAlias = dict[str, str]

_GOLDENS = "the goldens"


def ingredients_of_preparation(setup: WorkerSetup) -> Ingredients:
    """Returns what goldens, calibration samples and noise floors are made from."""
    here, code = current_environment(), Path(setup.code.file) if setup.code.file else None
    parts: dict[str, object] = {
        "pocketvae or a converter": {**here.versions, "python": here.python, "source": _source()},
        "this machine": {
            "cpu": [here.cpu, *here.cpu_features, str(here.logical_cores)],
            "system": [here.system, here.machine],
            "environment": other_way(),
        },
        "the model": {
            "interface": setup.vae,
            "files": dict(setup.statement.sources),
            "forms": setup.forms,
            "code": [str(setup.code.allowed), _file(code)],
        },
        "the images": _file(Path(setup.reference) if setup.reference else None),
        "--seed": str(setup.seed),
        "--calibration-seeds": str(setup.calibration_seeds),
        "--allow-batch-dependence": str(setup.one_by_one),
        "--false-positive-rate": str(setup.false_positive_rate),
    }
    return {name: _sha256(value) for name, value in parts.items()}


def ingredients_of_artifact(
    spec: ArtifactSpec,
    config: ExportConfig,
    setup: WorkerSetup,
    prepared: Prepared,
    hashes: Mapping[str, str],
) -> Ingredients:
    """Returns what an artifact is made from, besides what its goldens are made from.

    Args:
        spec: The artifact.
        config: What is asked for.
        setup: Of the workers.
        prepared: What is known of its component.
        hashes: SHA-256 of what was prepared, by file name.
    """
    statement = setup.statement
    components = with_parts((spec.component,), setup.vae)
    arrays = {name: sha256 for name, sha256 in hashes.items() if name.partition(".")[0] in components}
    parts: dict[str, object] = {
        "--rewrites": setup.rewrites,
        "--tune": setup.tune,
        "--for": setup.chips,
        "--recipe": setup.recipes,
        "--batch": [str(batch) for batch in config.batches],
        "the error budget": config.budget,
        "--licence": statement.licence,
        "--author": statement.author,
        "--no-embedded-goldens": str(statement.with_goldens),
        "the model's name": statement.name,
        _GOLDENS: {"prepared": prepared, "files": arrays},
    }
    return {name: _sha256(value) for name, value in parts.items()}


def changed(before: Ingredients, now: Ingredients) -> str:
    """Returns which ingredients have changed, as a clause; empty if none has.

    Args:
        before: All ingredients of what was made.
        now: Some or all of those that it would be made from.
    """
    names = [name for name, sha256 in now.items() if before.get(name) != sha256]
    # Goldens change with what they are made from, which says more.
    names = [name for name in names if name != _GOLDENS] or names
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} changed" if names else ""


def _source() -> str:
    """Returns the SHA-256 of pocketvae's own source, which changes between two releases where it is developed."""
    home = Path(pocketvae.__file__).parent
    return _sha256([files.sha256_file(path) for path in sorted(home.rglob("*.py"))])


def _file(path: Path | None) -> str:
    return files.sha256_file(path) if path is not None and path.is_file() else ""


def _sha256(value: object) -> str:
    data = value if isinstance(value, str) else to_data(value)
    return files.sha256_bytes(json.dumps(data, sort_keys=True).encode())
