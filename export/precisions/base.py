"""What a precision is to export: how a file is made, what it is held to, and which rewrites it can take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pocketvae.export.quantize.searched import Searched
from pocketvae.export.quantize.source import Source
from pocketvae.numerics.scoring import Scoring
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec, Format, Precision

# Ranges for a file that is only timed need be about right.
_TIMED_CALIBRATION_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class Made:
    """A file with its notes.

    Attributes:
        content: The file.
        notes: Notes on its special properties.
        searched: How its quantization was found; None where there was no search that a recipe can repeat.
        scoring: How it decides; of scorers.
    """

    content: bytes
    notes: tuple[str, ...] = ()
    searched: Searched | None = None
    scoring: Scoring | None = None


@dataclass(frozen=True, kw_only=True)
class PixelBudget:
    """The default error budget of a quantized decoder.

    Attributes:
        p99_steps: Largest error of 99 percent of the pixels, in grey steps of 1/255.
        mean_steps: Largest mean error of the pixels, in grey steps.
        has_elbo: Whether the change of the ELBO has a limit too.
    """

    p99_steps: float
    mean_steps: float
    has_elbo: bool = True


class PrecisionExport(ABC):
    """One precision; every module of this package that is named after one has an instance, `EXPORT`.

    Attributes:
        pixel_budget: What a decoder is held to; None for floats, whose limits follow from the original's noise floor.
        rounds_to_half: Whether a float file is also allowed what rounding its weights to half precision costs.
        timed_as: The precision whose measured rewrites hold for this one, where both run the same kernels on the same
            types.
        has_depth_to_space: Whether TFLite has the operator for it.
        has_float_means: Whether means over an image are taken in floats, as a rewritten normalization needs.
        may_differ_in_generator: Whether a generator may hold another quantization of the decoder than the decoder's
            own file.
        keeps_floats: Whether what would miss the budget stays in float.
    """

    pixel_budget: ClassVar[PixelBudget | None] = None
    rounds_to_half: ClassVar[bool] = False
    timed_as: ClassVar[Precision | None] = None
    has_depth_to_space: ClassVar[bool] = True
    has_float_means: ClassVar[bool] = True
    may_differ_in_generator: ClassVar[bool] = False
    keeps_floats: ClassVar[bool] = True

    @abstractmethod
    def make(self, spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
        """Converts one component.

        Args:
            spec: The artifact, with float32 images.
            source: The source to make it from, with the rewrites that were chosen.
            tolerances: What it is held to; empty where it is part of another artifact.

        Raises:
            ExportError: the conversion failed.
        """

    def make_plain(self, format: Format, source: Source) -> bytes:
        """Converts as fast as possible to what runs like the artifact, for timing: without a search."""
        return source.float32(format)

    def mixes_samples(self, format: Format) -> bool:
        """Returns whether a sample's result depends on the others of the same call, so that batch 1 alone is right."""
        return False


def few_samples(source: Source) -> dict[str, Any]:
    """Returns calibration samples `[N, ...]` by input, enough for a file that is only timed."""
    return {name: values[:_TIMED_CALIBRATION_SAMPLES] for name, values in source.calibration.items()}
