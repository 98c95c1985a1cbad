"""The contact sheet: the same images, identified by seed and index, from every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.targets import Target, TargetRun
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.data.pictures import grid, pixel_scale, png_bytes
from pocketvae.errors import ArtifactFault, PocketVaeError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.conditions import drawn_conditions
from pocketvae.numerics.latents import prior_noise, split_latents
from pocketvae.numerics.pixels import to_pixels
from pocketvae.runtimes.base import Array, FloatArray
from pocketvae.spec import Component, Format, Precision

_COLUMNS = 10
_MAKERS = (Component.GENERATOR, Component.DECODER)


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """The images of one artifact on one target.

    Attributes:
        target: Where it ran.
        artifact: A generator, or a decoder that was given the same latents.
        images_png: A row of images.
        difference_png: |target - this machine| times 16, white on black.
        max_abs: The largest deviation from this machine.
    """

    target: str
    artifact: str
    images_png: bytes
    difference_png: bytes
    max_abs: float


class Sheet:
    """The rows so far, target by target."""

    def __init__(self, bundle: Bundle, seed: int) -> None:
        """Selects the images: 0 and up of the seed's stream.

        Raises:
            SpecError: the seed is not an int32.
        """
        if not -(2**31) <= seed < 2**31:
            raise SpecError(f"seed must be an integer from -2^31 to 2^31 - 1, got {seed}")
        self.rows: list[SheetRow] = []
        self._bundle, self._host = bundle, HostRun(bundle)
        index = np.arange(_COLUMNS, dtype=np.int32)
        self._pairs = {"seed": np.full(_COLUMNS, seed, np.int32), "index": index}
        vae = bundle.manifest.vae
        in_turn = {item.name: index % item.count for item in vae.conditions if item.is_label}
        self._conditions = {**drawn_conditions(vae, _COLUMNS, np.random.default_rng(0)), **in_turn}

    def add(self, target: Target, run: TargetRun) -> None:
        """Adds a row for each format that the target runs; the matrix has the reason for an artifact that fails.

        Raises:
            TargetError: the target cannot make the images.
        """
        for format in Format:
            found = self._artifact(target, format)
            inputs = self._inputs(found) if found else None
            if found is None or inputs is None:
                continue
            try:
                images = run.run(found, inputs)[self._bundle.manifest.vae.output]
                expected = self._host.run(found, inputs)[self._bundle.manifest.vae.output]
            except ArtifactFault:
                continue
            self.rows.append(self._row(target.name, found.name, images, expected))

    def _artifact(self, target: Target, format: Format) -> ArtifactRecord | None:
        """Returns a generator, or else a decoder, in a format that a target runs; in float32 if there is one."""
        found = [
            artifact
            for artifact in self._bundle.manifest.artifacts
            if artifact.format is format and artifact.component in _MAKERS and not target.declines(artifact)
        ]
        found.sort(key=lambda item: (item.precision is not Precision.FLOAT32, _MAKERS.index(item.component)))
        return found[0] if found else None

    def _inputs(self, artifact: ArtifactRecord) -> Mapping[str, Array] | None:
        if artifact.component is Component.GENERATOR:
            return {**self._pairs, **self._conditions}
        latents = self._latents()
        return None if latents is None else {**latents, **self._conditions}

    def _latents(self) -> Mapping[str, Array] | None:
        """Returns the latents that the generator would decode; None if there is no sampler for a learned prior."""
        vae = self._bundle.manifest.vae
        if not vae.prior.is_learned:
            return split_latents(prior_noise(self._pairs["seed"], self._pairs["index"], vae), vae.latents)
        samplers = [item for item in self._bundle.manifest.artifacts if item.component is Component.SAMPLER]
        try:
            inputs = {**self._pairs, **(self._conditions if vae.prior_takes_label else {})}
            return self._host.run(samplers[0], inputs) if samplers else None
        except PocketVaeError:
            return None

    def _row(self, target: str, artifact: str, images: FloatArray, expected: FloatArray) -> SheetRow:
        vae = self._bundle.manifest.vae
        return SheetRow(
            target=target,
            artifact=artifact,
            images_png=_png(np.nan_to_num(kind_of(vae.data).shown(images, vae), nan=1.0)),
            difference_png=_png(kind_of(vae.data).shown_difference(images, expected, vae)),
            max_abs=float(np.abs(images - expected).max()),
        )


def _png(images: FloatArray) -> bytes:
    pixels = to_pixels(images)
    return png_bytes(grid(pixels, len(pixels)), scale=pixel_scale(pixels.shape[1]))
