"""Round trips of encoder and decoder, and paths through latent space: figures without limits.

The error of a pair is the sum of the errors of its halves, each of which has its own limit. A path shows what a single
image cannot: two frames that are both within limits but jump where the original moves smoothly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pocketvae.benchmarks.drift.images import golden_conditions
from pocketvae.benchmarks.parity.results import Measurement
from pocketvae.benchmarks.targets import TargetRun
from pocketvae.bundle.bundle import Array, Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.numerics.latents import encoded_of, joined_latents, split_latents
from pocketvae.numerics.metrics import psnr_db
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component, Precision
from pocketvae.vae_spec import VaeSpec

_PATHS, _FRAMES = 8, 16


def path_figures(bundle: Bundle, run: TargetRun) -> tuple[Measurement, ...]:
    """Returns the round trip of every pair and the largest jump on every decoder's paths, compared with float32 files.

    Raises:
        ManifestError: the goldens are damaged.
        ArtifactFault: a file cannot be run; verify says which.
    """
    return (*_round_trips(bundle, run), *_interpolations(bundle, run))


def _round_trips(bundle: Bundle, run: TargetRun) -> Iterator[Measurement]:
    encoders = [item for item in bundle.manifest.artifacts if item.component is Component.ENCODER]
    references: dict[str, FloatArray] = {}
    for encoder in encoders:
        decoder = _partner(bundle.manifest, encoder)
        if decoder is None:
            continue
        images = _round_trip(bundle, run, encoder, decoder)
        if encoder.precision is Precision.FLOAT32:
            references.setdefault("float32", images)
            continue
        if "float32" not in references:
            return
        difference = images.astype(np.float64) - references["float32"]
        rmse, span = float(np.sqrt(np.mean(np.square(difference)))), bundle.manifest.vae.range_span
        yield _figure(encoder, "round trip", "p99_abs", float(np.quantile(np.abs(difference), 0.99)))
        if rmse > 0:
            yield _figure(encoder, "round trip", "psnr_db", psnr_db(rmse, span))


def _round_trip(bundle: Bundle, run: TargetRun, encoder: ArtifactRecord, decoder: ArtifactRecord) -> FloatArray:
    inputs = bundle.goldens(Component.ENCODER).inputs
    vae = bundle.manifest.vae
    encoded = encoded_of(run.run(encoder, inputs, batch=encoder.batches[0]), vae)
    feed = {**split_latents(encoded, vae.latents), **golden_conditions(bundle, inputs)}
    return run.run(decoder, feed, batch=decoder.batches[0])[vae.output]


def _interpolations(bundle: Bundle, run: TargetRun) -> Iterator[Measurement]:
    decoders = [item for item in bundle.manifest.artifacts if item.component is Component.DECODER]
    reference = next((item for item in decoders if item.precision is Precision.FLOAT32), None)
    if reference is None or bundle.manifest.vae.codes:
        return
    inputs = _paths(bundle.goldens(Component.DECODER), bundle.manifest.vae)
    expected = _steps(run.run(reference, inputs, batch=reference.batches[0])[bundle.manifest.vae.output])
    for decoder in decoders:
        if decoder.precision is Precision.FLOAT32:
            continue
        found = _steps(run.run(decoder, inputs, batch=decoder.batches[0])[bundle.manifest.vae.output])
        jumps = np.sqrt(np.mean(np.square(found - expected), axis=1))
        yield _figure(decoder, "path", "jump_rmse", float(jumps.max()))


def _paths(goldens: Goldens, vae: VaeSpec) -> dict[str, Array]:
    """Returns lines between golden latents of the prior, `[8 * 16, ...]`; a path keeps its first conditions."""
    stratum = goldens.prior
    count = min(_PATHS, stratum.count // 2)
    chosen = slice(stratum.start, stratum.start + 2 * count)
    z = joined_latents(goldens.inputs, vae)[chosen].astype(np.float32).reshape(count, 2, 1, -1)
    shares = np.linspace(0, 1, _FRAMES, dtype=np.float32)[None, :, None]
    frames = (1 - shares) * z[:, 0] + shares * z[:, 1]
    inputs = split_latents(frames.reshape(count * _FRAMES, -1).astype(np.float32), vae.latents)
    others = {name: values for name, values in goldens.inputs.items() if name not in inputs}
    return {**inputs, **{name: np.repeat(values[chosen][::2], _FRAMES, axis=0) for name, values in others.items()}}


def _steps(images: FloatArray) -> np.ndarray:
    """Returns the change from each frame to the next, `[paths * 15, elements]`."""
    frames = images.astype(np.float64).reshape(-1, _FRAMES, int(np.prod(images.shape[1:])))
    return np.diff(frames, axis=1).reshape(-1, frames.shape[2])


def _partner(manifest: Manifest, encoder: ArtifactRecord) -> ArtifactRecord | None:
    wanted = replace(encoder.spec, component=Component.DECODER)
    return next((item for item in manifest.artifacts if item.spec == wanted), None)


def _figure(artifact: ArtifactRecord, output: str, metric: str, value: float) -> Measurement:
    return Measurement(artifact=artifact.name, target="host", output=output, stratum="", metric=metric, value=value)
