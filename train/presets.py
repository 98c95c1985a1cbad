"""Named configurations, and overrides of their values from a TOML file and `--set`."""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pocketvae.errors import SpecError, unknown_name
from pocketvae.parsing import parse_toml, quoted
from pocketvae.train.config import Activation, Architecture, Objective, Optimizer, TrainConfig
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind

# A flow as the prior: with a sharp likelihood the posteriors are far from N(0, I), and so its samples would be poor.
# Only user-supplied models have an unknown likelihood, integer codes or volumes.
_UNTRAINED = (Likelihood.UNKNOWN, PriorKind.UNIFORM, DataKind.VOLUME)

# The type of keys that hold names, as the dataclass states it.
_NAMES = "tuple[str, ...]"

_RGB32 = TrainConfig(
    architecture=Architecture.RESIDUAL,
    latent_dim=64,
    channels=(32, 64, 128),
    blocks=1,
    hidden_units=256,
    likelihood=Likelihood.GAUSSIAN,
    prior=PriorKind.REALNVP,
    couplings=8,
    coupling_units=128,
    epochs=100,
    batch_size=64,
    learning_rate=1e-3,
    ema_decay=0.999,
    patience_epochs=25,
    onednn=True,
)
_RGB64 = replace(_RGB32, channels=(32, 64, 96, 128), epochs=150, batch_size=32)
_SENSOR = TrainConfig(
    data=DataKind.SEQUENCE,
    window=64,
    likelihood=Likelihood.GAUSSIAN,
    latent_dim=8,
    channels=(8, 16),
    hidden_units=32,
    # Without the warm-up, short trainings end with posteriors that say nothing.
    kl_warmup_epochs=10,
    epochs=60,
    batch_size=32,
    learning_rate=4e-3,
    warmup_steps=100,
    patience_epochs=20,
    quantization_friendly=True,
)
_MNIST = TrainConfig(
    architecture=Architecture.RESIDUAL,
    latent_dim=40,
    channels=(32, 64),
    blocks=1,
    hidden_units=256,
    prior=PriorKind.REALNVP,
    couplings=8,
    coupling_units=128,
    epochs=100,
    batch_size=128,
    learning_rate=1e-3,
    warmup_steps=500,
    ema_decay=0.999,
    onednn=True,
)
PRESETS: Mapping[str, TrainConfig] = {
    # Chosen for the quickstart: below 100 nats in under three minutes on two cores.
    "mnist-tiny": TrainConfig(),
    "mnist-mlp": TrainConfig(
        architecture=Architecture.MLP,
        latent_dim=40,
        channels=(),
        hidden_units=400,
        hidden_layers=2,
        prior=PriorKind.REALNVP,
        couplings=8,
        coupling_units=128,
        objective=Objective.IWAE,
        importance_samples=8,
        doubly_reparameterized=True,
        # Most of what is learned costs one sample, and of moved digits too; the last epochs make it likely.
        importance_warmup_epochs=190,
        augmented_epochs=190,
        shift_pixels=1,
        zoom=0.05,
        validation_images=1000,
        epochs=240,
        batch_size=128,
        learning_rate=1e-3,
        warmup_steps=500,
        ema_decay=0.999,
        onednn=True,
    ),
    "mnist": _MNIST,
    # The best likelihood that two cores reach in a few hours.
    "mnist-maps": replace(
        _MNIST,
        latent_dim=31,
        latent_maps=(0, 1),
        blocks=2,
        activation=Activation.SILU,
        couplings=24,
        coupling_units=256,
        objective=Objective.IWAE,
        importance_samples=5,
        doubly_reparameterized=True,
        # As in mnist-mlp, in three phases: changed digits, digits as they are, and these with five samples.
        importance_warmup_epochs=136,
        augmented_epochs=115,
        shift_pixels=1,
        zoom=0.05,
        validation_images=1000,
        epochs=148,
        optimizer=Optimizer.MUON,
        learning_rate=2e-3,
    ),
    "rgb32": _RGB32,
    "rgb64": _RGB64,
    # Maps of latents show what a vector cannot; changed copies keep small sets from being learned by heart.
    "rgb64-sharp": replace(
        _RGB64,
        latent_dim=32,
        latent_maps=(0, 0, 1, 4),
        coupling_units=256,
        # What the flow draws lies between the drawings of a small set, where nothing can be named.
        refit_components=800,
        mirror=True,
        shift_pixels=2,
        zoom=0.06,
        epochs=140,
    ),
    # For microcontrollers: encoder and decoder in int8 together below 64 kB of flash, and of RAM.
    "sensor-tiny": _SENSOR,
    "sensor": replace(
        _SENSOR, window=256, latent_dim=16, channels=(16, 32, 64), hidden_units=128, epochs=100, ema_decay=0.99
    ),
    # About a second at 16 kHz: 32 frames. Windows overlap by half.
    "sound": replace(
        _SENSOR,
        window=16_896,
        stride=8_448,
        mel_bands=64,
        frame=1024,
        hop=512,
        low_hz=50.0,
        latent_dim=16,
        channels=(32, 64),
        hidden_units=128,
        epochs=100,
        ema_decay=0.99,
    ),
    "table": TrainConfig(
        data=DataKind.VECTOR,
        architecture=Architecture.DENSE,
        likelihood=Likelihood.MIXED,
        latent_dim=8,
        channels=(),
        hidden_units=64,
        hidden_layers=2,
        epochs=100,
        batch_size=64,
        warmup_steps=100,
        patience_epochs=20,
        quantization_friendly=True,
    ),
}


def preset(name: str) -> TrainConfig:
    """Returns a named configuration.

    Raises:
        SpecError: the name is unknown; the message suggests a close match.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]


def with_overrides(config: TrainConfig, overrides: Mapping[str, object]) -> TrainConfig:
    """Returns the configuration with some values overridden.

    Raises:
        SpecError: a key is unknown, or a value is of the wrong type, out of range or contradicts another.
    """
    known = {field.name: field for field in fields(config)}
    for key in overrides:
        if key not in known:
            raise unknown_name("configuration key", key, known)
    checked: dict[str, Any] = {
        key: _names(key, value) if known[key].type == _NAMES else _coerce(key, value, getattr(config, key))
        for key, value in overrides.items()
    }
    return replace(config, **checked)


def read_toml(path: Path) -> dict[str, object]:
    """Reads overrides from a TOML file.

    Raises:
        SpecError: the file is missing or is not valid TOML.
    """
    if not path.is_file():
        raise SpecError(f"the configuration {path} does not exist")
    try:
        return parse_toml(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise SpecError(f"the configuration {path} cannot be read: {e}") from e


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """Parses `KEY=VALUE` strings; a value is written as in TOML, but names need no quotes.

    Raises:
        SpecError: a text has no `=` or its value cannot be read.
    """
    overrides: dict[str, object] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise SpecError(f"--set takes KEY=VALUE, got {assignment!r}")
        overrides[key.strip()] = _parse_value(key.strip(), value.strip())
    return overrides


def _parse_value(key: str, text: str) -> object:
    if text.replace("_", "").isalnum() and text[0].isalpha() and text not in ("true", "false", "nan", "inf"):
        return text
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError as e:
        raise SpecError(
            f"--set {key}: {text!r} must be a number, true or false, a name, or a list such as [16, 32]"
        ) from e


def _names(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item for item in value):
        raise SpecError(f'{key} must be a list of names such as ["ax", "ay"], got {quoted(value)}')
    return tuple(value)


def _coerce(key: str, value: object, current: object) -> Any:
    """Returns `value` as the type of the current one; integers pass for floats, lists for tuples, names for choices."""
    if isinstance(current, enum.StrEnum):
        if isinstance(value, str) and value in _choices(current):
            return type(current)(value)
        if isinstance(value, str):
            raise unknown_name(key, value, _choices(current))
    elif isinstance(current, tuple):
        if isinstance(value, (list, tuple)) and all(type(item) is int for item in value):
            return tuple(value)
    elif isinstance(current, float):
        # A whole number may be too large for a float.
        if type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max):
            return float(value)
    elif type(value) is type(current):
        return value
    raise SpecError(f"{key} must be {_kind(current)}, got {quoted(value)}")


def _kind(current: object) -> str:
    if isinstance(current, enum.StrEnum):
        return f"one of {', '.join(_choices(current))}"
    if isinstance(current, tuple):
        return "a list of integers"
    return {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a name"}[type(current).__name__]


def _choices(current: enum.StrEnum) -> list[str]:
    """Returns what can be trained."""
    return [str(choice) for choice in type(current) if choice not in _UNTRAINED]
