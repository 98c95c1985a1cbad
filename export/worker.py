"""A conversion worker: a process that loads TensorFlow once and does one job after the other.

Native converters can abort, hang or eat memory; in a process of its own that costs one artifact, not the export.
Run as `python -m pocketvae.export.worker FOLDER`. Requests come on stdin, replies go to stdout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.documents import decode_line, encode_line
from pocketvae.errors import PocketVaeError
from pocketvae.export import samples
from pocketvae.export.artifacts import Source, make_artifact
from pocketvae.export.goldens import golden_outputs, noise_floor
from pocketvae.export.graphs import check_interface, input_of
from pocketvae.export.messages import (
    Converted,
    ConvertJob,
    Prepared,
    PrepareJob,
    Reply,
    Request,
    WorkerSetup,
)
from pocketvae.files import write_bytes
from pocketvae.keras_io import load_model
from pocketvae.line_process import serve_lines
from pocketvae.spec import Component

SETUP_NAME = "setup.json"


def array_path(folder: Path, component: Component, role: str, name: str) -> Path:
    """Returns where an array of the preparation lies: role is `calibration`, `input` or `output`."""
    return folder / f"{component}.{role}.{name}.npy"


class Worker:
    """Does jobs in one working folder."""

    def __init__(self, folder: Path) -> None:
        """Reads the folder's setup; models are loaded when a job needs them."""
        self._folder = folder
        self._setup = decode_line(WorkerSetup, (folder / SETUP_NAME).read_bytes())
        self._models: dict[Component, Any] = {}
        self._sources: dict[Component, Source] = {}

    def answer(self, request: Request) -> Reply:
        """Does one job; an error becomes part of the reply."""
        try:
            if request.prepare is not None:
                return Reply(prepared=self._prepare(request.prepare))
            if request.convert is not None:
                return Reply(converted=self._convert(request.convert))
            return Reply(error="the request names no job")
        except PocketVaeError as e:
            return Reply(error=str(e))
        except Exception as e:  # a converter may raise anything; the export goes on with the other artifacts
            lines = [line for line in str(e).splitlines() if line.strip()]
            return Reply(error=f"{type(e).__name__}: {lines[0][:300] if lines else 'no message'}")

    def _model(self, component: Component) -> Any:
        if component not in self._models:
            model = load_model(Path(self._setup.models[component]))
            check_interface(component, model, self._setup.vae)
            self._models[component] = model
        return self._models[component]

    def _prepare(self, job: PrepareJob) -> tuple[Prepared, ...]:
        with np.load(self._setup.reference, allow_pickle=False) as archive:
            images = {role: archive[role] for role in ("calibration", "golden")}
        return tuple(self._prepare_component(component, images) for component in job.components)

    def _prepare_component(self, component: Component, images: dict[str, Any]) -> Prepared:
        calibration = self._samples(component, images["calibration"], "calibration")
        golden = self._samples(component, images["golden"], "golden")
        model = self._model(component)
        outputs = golden_outputs(component, model, golden.values)
        name, _ = input_of(component, self._setup.vae)
        np.save(array_path(self._folder, component, "calibration", name), calibration.values)
        np.save(array_path(self._folder, component, "input", name), golden.values)
        for output, values in outputs.items():
            np.save(array_path(self._folder, component, "output", output), values)
        return Prepared(
            component=component,
            floor=noise_floor(component, model, golden.values, outputs),
            golden_strata=golden.strata,
            calibration_strata=calibration.strata,
        )

    def _samples(self, component: Component, images: Any, purpose: str) -> samples.Samples:
        # Each purpose has its own stream: goldens must not be the samples that calibrated.
        rng = np.random.default_rng([self._setup.seed, ("calibration", "golden").index(purpose)])
        if component is Component.ENCODER:
            return samples.encoder_inputs(images, rng)
        dim = self._setup.vae.latent_dim
        prior, tails = samples.CALIBRATION_PRIOR_COUNT, samples.CALIBRATION_TAIL_COUNT
        if purpose == "golden":
            images = images[: samples.GOLDEN_POSTERIOR_COUNT]
            prior, tails = samples.GOLDEN_PRIOR_COUNT, samples.GOLDEN_TAIL_COUNT
        encoded = self._model(Component.ENCODER)(samples.encoder_inputs(images, rng).values, training=False)
        z_mean, z_log_var = (np.asarray(values) for values in encoded)
        return samples.stack(
            {
                "posterior": samples.posterior_latents(z_mean, z_log_var, rng),
                "prior": samples.prior_latents(prior, dim, rng),
                "tails": samples.tail_latents(tails, dim, rng),
            }
        )

    def _source(self, component: Component) -> Source:
        if component not in self._sources:
            name, _ = input_of(component, self._setup.vae)
            outputs = ("z_mean", "z_log_var") if component is Component.ENCODER else ("image",)
            self._sources[component] = Source(
                component=component,
                model=self._model(component),
                vae=self._setup.vae,
                calibration=np.load(array_path(self._folder, component, "calibration", name)),
                golden_inputs=np.load(array_path(self._folder, component, "input", name)),
                golden_outputs={
                    output: np.load(array_path(self._folder, component, "output", output)) for output in outputs
                },
            )
        return self._sources[component]

    def _convert(self, job: ConvertJob) -> Converted:
        artifact = make_artifact(job.artifact, self._source(job.artifact.component), job.tolerances)
        write_bytes(self._folder / job.artifact.filename, artifact.content)
        return Converted(inputs=artifact.inputs, outputs=artifact.outputs, notes=artifact.notes, excess=artifact.excess)


def main() -> int:
    """Serves on the process's own pipes."""
    worker = Worker(Path(sys.argv[1]))
    serve_lines(lambda line: encode_line(worker.answer(decode_line(Request, line))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
