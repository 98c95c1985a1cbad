"""The TensorFlow side of train_throughput.py: a process that takes optimizer steps when it is told to.

Requests come on stdin and replies go to stdout, one JSON object a line. The first request says what the process is
for: to write the reference that every contender begins with and is checked against, or to be one of the contenders.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from pocketvae.data.dataset import ImageSet, ImageSplits
from pocketvae.keras.io import start_tensorflow
from pocketvae.processes.rpc import handler, serve
from pocketvae.progress import ignore_progress
from pocketvae.train import ElboEstimate, TrainConfig, with_overrides
from pocketvae.train.distribution import Workers
from pocketvae.train.loop import LoopState, fit
from pocketvae.train.mixed_precision import check_bfloat16
from pocketvae.train.model import Noise, VaeModel
from pocketvae.train.trainer import StepKnobs, Trainer
from pocketvae.vae_spec import VaeSpec, vector_latent

Arrays = dict[str, npt.NDArray[Any]]
_WARMUP_STEPS = 5
_REFERENCE_STEPS = 3
_ENDLESS_EPOCHS = 1_000_000


class Contender(Protocol):
    """Something that trains."""

    facts: dict[str, Any]

    def measure(self, seconds: float, warmup_steps: int) -> tuple[int, float]:
        """Takes steps for at least so many seconds, one at the least; returns how many, and the exact time."""
        ...


class PocketVae:
    """pocketvae's own training loop: the trainer's step, batches from its background thread, its schedules."""

    def __init__(self, config: TrainConfig, images: npt.NDArray[np.uint8], reference: Arrays) -> None:
        check_bfloat16(config.bfloat16)
        model = build_model(config, reference)
        # The loop hands over after every checkpoint; with one in every step, it does so after every step.
        config = replace(config, checkpoint_steps=1, epochs=_ENDLESS_EPOCHS)
        part = ImageSet(images=images)
        data = ImageSplits(name="mnist", train=part, validation=part.take(slice(1)), test=part.take(slice(1)))
        trainer = Trainer(config, model, Workers(None))
        self._states = fit(trainer, _NoValidation(), data, LoopState(), ignore_progress)  # type: ignore[arg-type]
        self.facts: dict[str, Any] = {"jit_compile": config.jit_compile}
        self.measure(0.0, _WARMUP_STEPS)

    def measure(self, seconds: float, warmup_steps: int) -> tuple[int, float]:
        """Takes steps for at least so many seconds, one at the least; returns how many, and the exact time."""
        for _ in range(warmup_steps):
            next(self._states)
        steps, elapsed_s, started = 0, 0.0, time.perf_counter()
        while steps == 0 or elapsed_s < seconds:
            next(self._states)
            steps, elapsed_s = steps + 1, time.perf_counter() - started
        return steps, elapsed_s


class _NoValidation:
    """Stands in for the evaluator, since no other contender validates."""

    def elbo(self, _: ImageSet) -> ElboEstimate:
        return ElboEstimate(
            negative_elbo_nats=0.0,
            standard_error_nats=0.0,
            reconstruction_nats=0.0,
            kl_nats=0.0,
            active_units=0,
            psnr_db=0.0,
        )


class _RecordingModel(VaeModel):
    """Keeps the latents that it decodes, from which follows the noise that they were made with."""

    z: Any = None

    def decode(self, z: Any, labels: Any, *, training: bool = False) -> Any:
        self.z = z
        return super().decode(z, labels, training=training)


def build_model(config: TrainConfig, reference: Arrays) -> VaeModel:
    """Builds pocketvae's model with the weights of the reference."""
    _, *shape = reference["x"].shape
    spec = VaeSpec(data_shape=tuple(shape), latents=vector_latent(config.latent_dim), prior=config.prior)
    model = VaeModel.build(config, spec)
    for name, variable in _variables(model).items():
        variable.assign(reference[name])
    return model


def make_reference(config: TrainConfig, images: npt.NDArray[np.uint8]) -> Arrays:
    """Returns initial weights, and what pocketvae's networks and first optimizer steps make of some images.

    Args:
        config: Of the training.
        images: `[N, H, W, C] uint8`, at least three batches.
    """
    spec = VaeSpec(data_shape=images.shape[1:], latents=vector_latent(config.latent_dim), prior=config.prior)
    model = cast("_RecordingModel", _RecordingModel.build(config, spec))
    arrays: Arrays = {name: _moved(variable) for name, variable in _variables(model).items()}
    for component, part in _parts(model).items():
        arrays[f"parameters/{component}"] = np.array(part.count_params())
    size = config.batch_size
    batches = [images[size * index : size * (index + 1)] for index in range(_REFERENCE_STEPS)]
    arrays |= _outputs(model, batches[0] / np.float32(255))
    # Without XLA: the reference must not depend on what is measured.
    trainer = Trainer(replace(config, jit_compile=False), model, Workers(None))
    knobs = StepKnobs(learning_rate=config.learning_rate, beta=config.beta)
    labels = np.zeros(size, np.int32)
    draws = [_draw(config, model, batch, number) for number, batch in enumerate(batches)]
    losses = [trainer.step(batch, labels, number, knobs) for number, batch in enumerate(batches)]
    xs, noise = (np.stack(values) for values in zip(*draws, strict=True))
    return {**arrays, "xs": xs, "noise": noise, "losses": np.array(losses, np.float32)}


def _parts(model: VaeModel) -> dict[str, Any]:
    parts = {"encoder": model.encoder, "decoder": model.decoder, "prior": model.prior}
    return {name: part for name, part in parts.items() if part is not None}


def _variables(model: VaeModel) -> dict[str, Any]:
    return {
        f"weights/{component}/{layer.name}/{kind}": getattr(layer, kind)
        for component, part in _parts(model).items()
        for layer in part.layers
        if layer.weights
        for kind in ("kernel", "bias")
    }


def _moved(variable: Any) -> npt.NDArray[np.float32]:
    """Moves a weight a little and returns it: layers that begin at zero would hide a wrong order of weights."""
    rng = np.random.default_rng(variable.shape.num_elements())
    inputs = max(1, int(np.prod(variable.shape[:-1])))
    variable.assign_add(0.2 / np.sqrt(inputs) * rng.standard_normal(variable.shape).astype(np.float32))
    values: npt.NDArray[np.float32] = variable.numpy()
    return values


def _outputs(model: VaeModel, x: npt.NDArray[np.float32]) -> Arrays:
    z_mean, z_log_var = model.encode(x, None)
    outputs = {"z_mean": z_mean, "z_log_var": z_log_var, "logits": model.decode(z_mean, None)}
    outputs["log_prior"] = model.log_prior(z_mean)
    return {"x": x, **{name: value.numpy() for name, value in outputs.items()}}


def _draw(
    config: TrainConfig, model: _RecordingModel, images: npt.NDArray[np.uint8], number: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Returns the binary pixels and the latent noise `[K, N, D]` that the trainer's step of this number draws."""
    noise = Noise(seed=np.array([config.seed, number], np.int64))
    x = model.observe(images, noise)
    labels = np.zeros(len(images), np.int32)
    z_mean, z_log_var = (value.numpy() for value in model.encode(x, labels))
    model.terms(images, labels, noise, samples=config.importance_samples)
    z = model.z.numpy().reshape(config.importance_samples, len(images), config.latent_dim)
    return x.numpy(), (z - z_mean) * np.exp(-0.5 * z_log_var)


def make_contender(request: Mapping[str, Any]) -> Contender:
    """Builds what a request names, with the weights of the reference in its folder."""
    config, folder = with_overrides(TrainConfig(), request["config"]), Path(request["folder"])
    start_tensorflow(onednn=config.onednn, threads=config.threads, remapped=config.is_remapped)
    images = np.load(folder / "images.npy", allow_pickle=False)
    reference = dict(np.load(folder / "reference.npz", allow_pickle=False))
    if request["kind"] == "pocketvae":
        return PocketVae(config, images, reference)
    from throughput_keras import KerasFit

    return KerasFit(config, build_model(config, reference), images, reference)


class _Worker:
    """Answers requests."""

    def __init__(self) -> None:
        self._contender: Contender | None = None

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("kind") == "reference":
            config, folder = with_overrides(TrainConfig(), request["config"]), Path(request["folder"])
            start_tensorflow(onednn=config.onednn, threads=config.threads, remapped=config.is_remapped)
            arrays = make_reference(config, np.load(folder / "images.npy", allow_pickle=False))
            np.savez(folder / "reference.npz", **arrays)
            return {"facts": {"losses": arrays["losses"].tolist()}}
        if self._contender is None:
            self._contender = make_contender(request)
            return {"facts": self._contender.facts}
        steps, elapsed_s = self._contender.measure(request["seconds"], request["warmup_steps"])
        return {"steps": steps, "elapsed_s": elapsed_s}


def main() -> int:
    """Serves on the process's own pipes."""
    serve({"train": handler(dict[str, Any], _Worker().train)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
