"""The subject of an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode
from pocketvae.keras.model_form import ModelForm
from pocketvae.spec import Component
from pocketvae.vae_spec import VaeSpec


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The subject of an export: a run, or user-supplied models.

    Attributes:
        name: Name of the bundle.
        vae: The interface of the model.
        models: Keras model by component.
        reference: Archive of reference images; None if there are none.
        calibration_images: Number of them for calibration.
        training: Final figures.
        config: The run's training configuration.
        provenance: Facts as text.
        forms: Forms of user-supplied models.
        code: Which custom code may run.
    """

    name: str
    vae: VaeSpec
    models: Mapping[Component, Path]
    reference: Path | None
    calibration_images: int
    training: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    forms: dict[Component, ModelForm] = field(default_factory=dict)
    code: CustomCode = NO_CUSTOM_CODE
