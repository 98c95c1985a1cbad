"""The worst golden sample of an artifact, as figures and pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.results import WorstInput
from pocketvae.bundle.bundle import Goldens
from pocketvae.bundle.manifest import Stratum
from pocketvae.data.pictures import grid, pixel_scale, png_bytes
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.metrics import POSTERIOR, is_posterior
from pocketvae.numerics.pixels import to_pixels
from pocketvae.numerics.spectrogram import model_items
from pocketvae.runtimes.base import Array, FloatArray
from pocketvae.spec import Component
from pocketvae.system.files import plain_name
from pocketvae.vae_spec import VaeSpec


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """A worst input with its arrays.

    Attributes:
        found: The sample.
        inputs: Inputs `[1, ...]` by name.
        expected: The original's outputs `[1, ...]` by name.
        outputs: The artifact's outputs `[1, ...]` by name.
    """

    found: WorstInput
    inputs: dict[str, Array]
    expected: dict[str, FloatArray]
    outputs: dict[str, FloatArray]

    def picture(self, vae: VaeSpec) -> bytes:
        """Returns a PNG of original, artifact and difference times 16 for a data output, else of the encoder's input.

        It is empty if there are no data on either side.
        """
        kind = kind_of(vae.data)
        if vae.output in self.expected:
            expected, found = (arrays[vae.output] for arrays in (self.expected, self.outputs))
            shown = (kind.shown(expected, vae), kind.shown(found, vae), kind.shown_difference(found, expected, vae))
            images = np.concatenate(shown)
        elif "x" in self.inputs:
            images = kind.shown(model_items(self.inputs["x"].astype(np.float32), vae), vae)
        else:
            return b""
        pixels = to_pixels(np.nan_to_num(images, nan=1.0))
        return png_bytes(grid(pixels, len(pixels)), scale=2 * pixel_scale(pixels.shape[1]))

    def files(self, vae: VaeSpec) -> dict[str, bytes]:
        """Returns the content of each file by name: every array as .npy, and the picture."""
        stem = f"{self.found.artifact}.{plain_name(self.found.target)}"
        roles: dict[str, Mapping[str, Array]] = {
            "input": self.inputs,
            "original": self.expected,
            "artifact": self.outputs,
        }
        contents: dict[str, bytes] = {}
        for role, arrays in roles.items():
            contents |= {f"{stem}.{role}.{name}.npy": _npy(values) for name, values in arrays.items()}
        picture = self.picture(vae)
        return {**contents, **({f"{stem}.png": picture} if picture else {})}


def worst_case(artifact: str, target: str, component: Component, goldens: Goldens, deviations: Deviations) -> WorstCase:
    """Finds the sample with the largest deviation: in nats of a posterior, otherwise of any output element.

    Args:
        artifact: File name.
        target: Where it ran.
        component: Which part of the VAE it is.
        goldens: Inputs and kinds of samples.
        deviations: Deviations of the artifact's outputs.
    """
    if component is Component.ENCODER and is_posterior(deviations.original):
        output, metric = POSTERIOR, "kl_max"
        deviation: npt.NDArray[np.floating] = deviations.posterior_kl()
    else:
        output, metric = next(iter(deviations.original)), "max_abs"
        deviation = deviations.of(output).by_sample
    index = int(np.argmax(np.nan_to_num(deviation, nan=np.inf, posinf=np.inf)))
    value = float(deviation[index])
    chosen = slice(index, index + 1)
    return WorstCase(
        found=WorstInput(
            artifact=artifact,
            target=target,
            output=output,
            index=index,
            stratum=stratum_of(index, goldens.strata),
            metric=metric,
            value=value if np.isfinite(value) else None,
        ),
        inputs={name: values[chosen] for name, values in goldens.inputs.items()},
        expected={name: values[chosen] for name, values in deviations.original.items()},
        outputs={name: values[chosen] for name, values in deviations.artifact.items()},
    )


def stratum_of(index: int, strata: tuple[Stratum, ...]) -> str:
    """Returns the kind of a golden sample."""
    return next((item.name for item in strata if item.start <= index < item.start + item.count), "")


def _npy(values: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()
