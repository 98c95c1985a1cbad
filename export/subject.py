"""What a bundle is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode
from pocketvae.keras.model_form import ModelForm
from pocketvae.spec import Component, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a bundle is made from: a run, or somebody's own models.

    Attributes:
        name: Of the bundle.
        vae: The interface of the model.
        models: Component to its Keras model.
        reference: Archive of reference images; None where there are none.
        calibration_images: How many of them calibrate.
        training: Final figures.
        provenance: Facts in words.
        forms: How somebody's own models are called.
        code: What of their own code may run.
    """

    name: str
    vae: VaeSpec
    models: Mapping[Component, Path]
    reference: Path | None
    calibration_images: int
    training: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    forms: dict[Component, ModelForm] = field(default_factory=dict)
    code: CustomCode = NO_CUSTOM_CODE
