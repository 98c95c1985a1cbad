"""The training configuration: what can be chosen, checked when it is made."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pocketvae.errors import SpecError, unknown_name


def _check(holds: bool, name: str, must_be: str, value: object) -> None:
    if not holds:
        raise SpecError(f"{name} must be {must_be}, got {value}")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides how a VAE is built and trained, apart from the data.

    Attributes:
        latent_dim: D, the number of latent dimensions.
        channels: Filters of each stride-2 encoder stage, outermost first; the decoder mirrors them.
        hidden_units: Width of the dense layer between the convolutions and the latent.
        epochs: Passes over the training images.
        batch_size: Images in one optimizer step.
        learning_rate: Highest rate, reached after the warm-up.
        warmup_steps: Steps of linear warm-up.
        final_rate_fraction: The cosine decay ends at this fraction of `learning_rate`.
        max_gradient_norm: Gradients are scaled down to this global norm.
        seed: Decides initial weights, batches, binarization and latent noise.

    Raises:
        SpecError: a value is out of range.
    """

    latent_dim: int = 16
    channels: tuple[int, ...] = (16, 32)
    hidden_units: int = 256
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    final_rate_fraction: float = 0.01
    max_gradient_norm: float = 200.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("latent_dim", "hidden_units", "epochs", "batch_size"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _check(
            0 < len(self.channels) <= 5 and min(self.channels) >= 1, "channels", "1 to 5 positive sizes", self.channels
        )
        for name in ("learning_rate", "max_gradient_norm"):
            value = getattr(self, name)
            _check(value > 0 and math.isfinite(value), name, "positive and finite", value)
        _check(0 <= self.final_rate_fraction <= 1, "final_rate_fraction", "between 0 and 1", self.final_rate_fraction)
        _check(self.warmup_steps >= 0, "warmup_steps", "at least 0", self.warmup_steps)
        _check(0 <= self.seed < 2**31, "seed", "between 0 and 2147483647", self.seed)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return asdict(self)


PRESETS: Mapping[str, TrainConfig] = {
    # Chosen for the quickstart: below 100 nats in under three minutes on two cores.
    "mnist-tiny": TrainConfig(),
}


def preset(name: str) -> TrainConfig:
    """Returns a named configuration.

    Raises:
        SpecError: the name is unknown; the message names a close match.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]


def with_overrides(config: TrainConfig, overrides: Mapping[str, object]) -> TrainConfig:
    """Returns the configuration with some values replaced.

    Raises:
        SpecError: a key is unknown, or a value is of the wrong type or out of range.
    """
    known = {field.name: field for field in fields(config)}
    for key in overrides:
        if key not in known:
            raise unknown_name("configuration key", key, known)
    checked = {key: _coerce(key, value, getattr(config, key)) for key, value in overrides.items()}
    return replace(config, **checked)


def read_toml(path: Path) -> dict[str, object]:
    """Reads overrides from a TOML file.

    Raises:
        SpecError: the file is missing or no valid TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise SpecError(f"the configuration {path} cannot be read: {e}") from e


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """Parses `KEY=VALUE` texts; a value is written as in TOML: `3`, `2e-3`, `[16, 32]`.

    Raises:
        SpecError: a text has no `=` or its value cannot be read.
    """
    overrides: dict[str, object] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise SpecError(f"--set takes KEY=VALUE, got {assignment!r}")
        try:
            overrides[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as e:
            raise SpecError(f"--set {key.strip()}: {value!r} must be a number, or a list such as [16, 32]") from e
    return overrides


def _coerce(key: str, value: object, current: object) -> Any:
    """Returns `value` as the type of the current one; integers pass for floats, lists for tuples."""
    if isinstance(current, tuple):
        if isinstance(value, (list, tuple)) and all(type(item) is int for item in value):
            return tuple(value)
    elif isinstance(current, float):
        if type(value) in (int, float):
            return float(value)  # type: ignore[arg-type]
    elif type(value) is type(current):
        return value
    kind = "a list of integers" if isinstance(current, tuple) else f"a {type(current).__name__}"
    raise SpecError(f"{key} must be {kind}, got {value!r}")
