"""What an app is made of: the bundle's generator by format, its label, and the goldens that are its test."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.errors import SpecError, unknown_name
from pocketvae.export.guide.parts import Part, recommended
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Component, Format, Precision
from pocketvae.vae_spec import DataKind, VaeSpec

# What the tests of every language compute.
METRICS = ("max_abs", "mean_abs", "rmse", "p99_abs", "share_off_by_1", "share_off_by_4")


@dataclass(frozen=True, kw_only=True)
class AppPlan:
    """An app that draws images from seeds.

    Attributes:
        name: See `checked_name`.
        bundle: Where its files come from.
        parts: The generator's file, by format.
    """

    name: str
    bundle: Bundle
    parts: Mapping[Format, Part]

    @property
    def vae(self) -> VaeSpec:
        """The interface of the model."""
        return self.bundle.manifest.vae

    @property
    def small_name(self) -> str:
        """The name as packages have it."""
        return self.name.lower()

    @property
    def label_count(self) -> int:
        """How many classes there are; 0 where the model takes none."""
        return self.vae.label_count

    def limits(self, part: Part) -> tuple[Tolerance, ...]:
        """Returns those limits of a file that the app's test checks."""
        return tuple(item for item in part.artifact.tolerances if item.metric in METRICS)

    def golden_inputs(self) -> dict[str, list[int]]:
        """Returns the generator's golden inputs by name."""
        return {name: values.tolist() for name, values in self.bundle.goldens(Component.GENERATOR).inputs.items()}

    def goldens(self) -> str:
        """Returns the generator's goldens and every file's limits, as JSON.

        `image` is base64 of float32 in little-endian order, one image after another, of each every `step`-th value.
        """
        goldens = self.bundle.goldens(Component.GENERATOR)
        image = self.vae.output
        content = {
            "inputs": self.golden_inputs(),
            "image": base64.b64encode(np.ascontiguousarray(goldens.outputs[image], "<f4").tobytes()).decode("ascii"),
            "step": goldens.steps.get(image, 1),
            "span": self.vae.range_span,
            "limits": {
                part.path: [{"metric": item.metric, "limit": item.limit} for item in self.limits(part)]
                for part in self.parts.values()
            },
        }
        return json.dumps(content, indent=0, sort_keys=True) + "\n"


def plan_app(bundle: Bundle, formats: Sequence[Format], name: str, precision: str = "") -> AppPlan:
    """Returns what an app is made of.

    Args:
        bundle: The bundle.
        formats: That the platform's runtimes read; the app has those that the bundle has.
        name: Of the app, checked.
        precision: Of the generator; empty for what EMBED.md recommends.

    Raises:
        SpecError: the bundle has no generator in these formats and precision, or its view could not draw what it makes.
    """
    _check_drawable(bundle.manifest.vae)
    if precision and precision not in list(Precision):
        raise unknown_name("precision", precision, [str(item) for item in Precision])
    manifest = bundle.manifest
    artifacts = tuple(item for item in manifest.artifacts if precision in ("", item.precision))
    over, some = _over_budget(manifest), replace(manifest, artifacts=artifacts)
    found = [recommended(some, Component.GENERATOR, format, over) for format in formats]
    parts = {item.format: Part(artifact=item, vae=manifest.vae) for item in found if item is not None}
    if not parts:
        wanted = " or ".join(f".{format}" for format in formats)
        generators = [item for item in manifest.artifacts if item.component is Component.GENERATOR]
        has = ", ".join(item.name for item in generators) or "none"
        raise SpecError(
            f"the app draws images by a generator, a file of {precision or 'any precision with a float interface'} in "
            f"{wanted}, and the bundle has {has}: export it with {_missing(generators, formats, precision)}"
        )
    return AppPlan(name=name, bundle=bundle, parts=parts)


def _missing(generators: Sequence[ArtifactRecord], formats: Sequence[Format], precision: str) -> str:
    """Returns the options of export that make a generator as the app takes it."""
    if not generators:
        return "--components encoder,decoder,generator"
    if not any(item.format in formats for item in generators):
        return f"--formats {','.join(formats)}"
    if precision and not any(item.precision == precision for item in generators):
        return f"--precisions {precision}"
    return "--image-dtype float32,uint8"


def _over_budget(manifest: Manifest) -> frozenset[str]:
    """Returns the generators that draw with a decoder that misses its budget: searches are recorded with decoders."""
    missed = {
        (item.precision, item.format)
        for item in manifest.artifacts
        if item.component is Component.DECODER and item.search is not None and item.search.chosen.error_ratio > 1
    }
    return frozenset(
        item.name
        for item in manifest.artifacts
        if item.component is Component.GENERATOR and (item.precision, item.format) in missed
    )


def _check_drawable(vae: VaeSpec) -> None:
    if vae.data is not DataKind.IMAGE:
        raise SpecError(
            f"the app's view draws images, and this model makes a {vae.data}: EMBED.md has code for its files"
        )
    if vae.more_outputs:
        names = " and ".join([vae.output, *(item.name for item in vae.more_outputs)])
        raise SpecError(
            f"the app's view draws what a generator returns alone, and this one returns {names}: see EMBED.md"
        )
    if vae.conditions and not vae.has_one_label:
        names = ", ".join(item.name for item in vae.conditions)
        raise SpecError(f"the app's view asks for a seed and one class, and this model takes {names}: see EMBED.md")
