"""User-supplied models: what the user says of them, and what was found when they were inspected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pocketvae.errors import SpecError
from pocketvae.export.external.roles import DecoderOutput, Wanted
from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode
from pocketvae.keras.model_form import DataFormat, ModelForm, Role
from pocketvae.spec import Component
from pocketvae.system.limits import LARGEST_FLOAT32, check_number
from pocketvae.vae_spec import MOST_CODES, DataKind, VaeSpec

# The method of the process that inspects models: takes `ExternalModels` and returns `Inspection`.
INSPECT = "inspect"
# The method of the process that prepares them: takes `PreparationRequest` and returns `Preparation`.
PREPARE = "prepare"
# A one-hot label is an input of that many values.
_MOST_LABELS = 1_000_000
# Of one image.
_MOST_VALUES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class ExternalModels:
    """Models that pocketvae did not train, with what the user states about them; None means detect.

    Attributes:
        decoder: A `.keras` or `.h5` file of Keras 2 or 3, an ONNX file, or a SavedModel folder.
        encoder: The same for the encoder.
        code: Which custom code may run.
        decoder_output: What the decoder returns.
        decoder_output_name: Name of the output that holds the data, of a decoder with several; empty to find it.
        more_outputs: Which other outputs are exported; None for all.
        joined_outputs: The order of the data and their log-variance in the decoder's one output; None if it holds the
            data alone.
        encoder_outputs: What each output of the encoder is, in order.
        data_kind: The kind of data.
        image_shape: `(height, width, channels)` of a decoder that returns images as vectors.
        decoder_inputs: What each input of the decoder is, in order.
        latent_shape: Sizes of the latent, without the batch, of a decoder that leaves them open.
        latent_dim: Latent dimensions of a decoder whose only input is a latent followed by a one-hot label.
        code_count: Number of codes of a decoder of integer codes that does not show it.
        label_count: Number of classes of a class-conditional VAE whose models do not show it; of several labels in
            the order of the decoder's inputs.
        latent_scale: Artifacts have the models' latents minus `latent_shift`, times this, such as the `scaling_factor`
            of latent diffusion, which makes their variance about 1.
        latent_shift: See `latent_scale`; the `shift_factor`.
        image_range: Black and white of images whose values nothing bounds; None for what samples show.
        data_format: Where ONNX files have their channels, if operators do not show it; None to take what is usual.
        condition_range: The lowest and highest value of continuous conditions, for calibration and testing.
        decoder_signature: Signature of a SavedModel that decodes; empty if there is only one.
        encoder_signature: Signature of a SavedModel that encodes; empty if there is only one.
        decoder_code: `FILE.py:FUNCTION` that builds the decoder, or the whole VAE, if `decoder` holds weights alone.
        encoder_code: The same for the encoder.
        latent_layer: Layer of a whole VAE that makes the latent; empty to find it.
        decoder_part: Layer or part of a whole VAE that the decoder ends in; empty to find it.

    Raises:
        SpecError: a value is not positive, or an encoder option is given without an encoder.
    """

    decoder: Path
    encoder: Path | None = None
    code: CustomCode = NO_CUSTOM_CODE
    decoder_output: DecoderOutput | None = None
    decoder_output_name: str = ""
    more_outputs: tuple[Wanted, ...] | None = None
    joined_outputs: Role | None = None
    encoder_outputs: tuple[Role, ...] | None = None
    data_kind: DataKind | None = None
    image_shape: tuple[int, int, int] | None = None
    image_range: tuple[float, float] | None = None
    data_format: DataFormat | None = None
    decoder_inputs: tuple[Role, ...] | None = None
    latent_shape: tuple[int, ...] | None = None
    latent_dim: int | None = None
    code_count: int | None = None
    label_count: int | tuple[int, ...] | None = None
    condition_range: tuple[float, float] | None = None
    latent_scale: float | None = None
    latent_shift: float | None = None
    decoder_signature: str = ""
    encoder_signature: str = ""
    decoder_code: str = ""
    encoder_code: str = ""
    latent_layer: str = ""
    decoder_part: str = ""

    def __post_init__(self) -> None:
        if self.encoder_outputs is not None and self.encoder is None:
            raise SpecError("--encoder-outputs needs --encoder")
        if self.encoder_signature and self.encoder is None:
            raise SpecError("--encoder-signature needs --encoder")
        if self.image_shape is not None and self.data_kind not in (None, DataKind.IMAGE):
            raise SpecError(f"--image-shape is for images, but --data-kind is {self.data_kind}")
        if self.image_shape is not None and min(self.image_shape) < 1:
            raise SpecError(f"--image-shape must be positive, got {self.image_shape}")
        if self.image_shape is not None:
            check_number(math.prod(self.image_shape), "the values of --image-shape", most=_MOST_VALUES)
        for count in self.label_counts:
            check_number(count, "--label-count", most=_MOST_LABELS)
        if self.latent_shape is not None:
            if not self.latent_shape or min(self.latent_shape) < 1:
                raise SpecError(f"--latent-shape must be positive, got {self.latent_shape}")
            check_number(math.prod(self.latent_shape), "the values of --latent-shape", most=_MOST_VALUES)
        if self.latent_dim is not None:
            check_number(self.latent_dim, "--latent-dim", most=_MOST_VALUES)
        if self.code_count is not None:
            check_number(self.code_count, "--code-count", most=MOST_CODES)
        if self.condition_range is not None and self.condition_range[0] >= self.condition_range[1]:
            raise SpecError(f"--condition-range must be LOW,HIGH, got {self.condition_range}")
        if self.image_range is not None:
            low, high = self.image_range
            if self.data_kind not in (None, DataKind.IMAGE):
                raise SpecError(f"--image-range is for images, but --data-kind is {self.data_kind}")
            if not -LARGEST_FLOAT32 <= low < high <= LARGEST_FLOAT32:
                raise SpecError(f"--image-range must be LOW,HIGH, got {low:g},{high:g}")
        if not 0 < self.scale <= LARGEST_FLOAT32:
            raise SpecError(f"--latent-scale must be positive and finite, got {self.scale:g}")
        if not abs(self.shift) <= LARGEST_FLOAT32:
            raise SpecError(f"--latent-shift must be finite, got {self.shift:g}")

    @property
    def scale(self) -> float:
        """The stated scale of latents, else 1."""
        return 1.0 if self.latent_scale is None else self.latent_scale

    @property
    def shift(self) -> float:
        """The stated shift of latents, else 0."""
        return 0.0 if self.latent_shift is None else self.latent_shift

    @property
    def label_counts(self) -> tuple[int, ...]:
        """The stated numbers of classes, one for each label."""
        if isinstance(self.label_count, int):
            return (self.label_count,)
        return self.label_count or ()

    @property
    def only_label_count(self) -> int | None:
        """The stated number of classes if it is one number."""
        return self.label_counts[0] if len(self.label_counts) == 1 else None

    @property
    def paths(self) -> dict[Component, Path]:
        """The models that are given."""
        encoder = {} if self.encoder is None else {Component.ENCODER: self.encoder}
        return {**encoder, Component.DECODER: self.decoder}


@dataclass(frozen=True, kw_only=True)
class PreparationRequest:
    """Models to prepare, and the folder for what is written."""

    models: ExternalModels
    folder: str


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The result of a preparation.

    Attributes:
        models: The models to inspect and export, each one part.
        facts: Facts for the manifest, as text.
        found: What was found and changed, one line a file.
        doubts: Assumptions that may be wrong, as sentences.
    """

    models: ExternalModels
    facts: dict[str, str]
    found: tuple[str, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of an inspection.

    Attributes:
        vae: The interface that the artifacts will have.
        forms: How each model is called.
        facts: Facts for the manifest, as text.
        doubts: Assumptions that may be wrong, as sentences.
        found: What the outputs of a decoder with several are, one line.
    """

    vae: VaeSpec
    forms: dict[Component, ModelForm]
    facts: dict[str, str]
    doubts: tuple[str, ...]
    found: tuple[str, ...] = ()
