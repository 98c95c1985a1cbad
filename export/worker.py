"""The conversion worker: a process that loads TensorFlow once and does one job after another.

Native converters can abort, hang or use too much memory; in a separate process that costs one artifact, not the export.
Run as `python -m pocketvae.export.worker FOLDER`. Requests come on stdin, responses go to stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pocketvae.bundle.reference import read_reference
from pocketvae.documents import decode_line
from pocketvae.export.artifacts import make_artifact
from pocketvae.export.convert.graphs import check_interface
from pocketvae.export.finishing import finish
from pocketvae.export.makings import Makings
from pocketvae.export.messages import (
    Converted,
    ConvertJob,
    Coupling,
    CouplingJob,
    Front,
    FrontJob,
    LoadJob,
    Method,
    Prepared,
    PrepareJob,
    Spread,
    SpreadJob,
    WorkerSetup,
)
from pocketvae.export.original import composed, samples, through
from pocketvae.export.original.drawing import Drawing
from pocketvae.export.original.fronts import Layers
from pocketvae.export.original.goldens import Original, compared
from pocketvae.export.original.held_out import scorer_data
from pocketvae.export.precisions.registry import export_of
from pocketvae.export.prepared_files import PreparedFiles, calibration_role
from pocketvae.export.quantize.source import Source
from pocketvae.export.tuning.effort import Effort
from pocketvae.keras.external import load_original
from pocketvae.keras.io import load_model
from pocketvae.numerics.likelihoods import Observed, has_elbo
from pocketvae.portability.chips import parse_chips
from pocketvae.processes.rpc import Handlers, handler, serve
from pocketvae.spec import Component
from pocketvae.system import files, memory
from pocketvae.vae_spec import SCORE, DataKind, Likelihood

_Job = TypeVar("_Job")
_Done = TypeVar("_Done")
SETUP_NAME = "setup.json"
# Of the random generator; samples.Purpose and drawing have the others.
_SEEDS_STREAM = 2
_GENERATIVE = (Component.PRIOR, Component.DECODER)
# Of the models' files: what is left of one job would then fill the memory that the next one needs.
_LARGE_BYTES = 64 << 20


class Worker:
    """Does jobs in one working folder."""

    def __init__(self, folder: Path) -> None:
        """Reads the folder's setup; models are loaded when a job needs them."""
        self._folder = folder
        self._setup = decode_line(WorkerSetup, (folder / SETUP_NAME).read_bytes())
        self._models: dict[Component, Any] = {}
        self._sources: dict[Component, Source] = {}
        self._makings = Makings(folder)
        self._files = PreparedFiles(folder)
        self._drawing = Drawing(self._setup.vae, self._setup.seed, self._model)

    def handlers(self) -> Handlers:
        """Returns what the methods do."""
        return {
            Method.LOAD: handler(LoadJob, self.load),
            Method.PREPARE: handler(PrepareJob, self._released(self.prepare)),
            Method.SPREAD: handler(SpreadJob, self._released(self.spread)),
            Method.COUPLING: handler(CouplingJob, self._released(self.coupling)),
            Method.CONVERT: handler(ConvertJob, self._released(self.convert)),
            Method.FRONT: handler(FrontJob, self.front),
        }

    def _released(self, do: Callable[[_Job], _Done]) -> Callable[[_Job], _Done]:
        """Returns a job that leaves no garbage of large models."""

        def run(job: _Job) -> _Done:
            try:
                return do(job)
            finally:
                if self._is_large:
                    memory.release()

        return run

    @cached_property
    def _is_large(self) -> bool:
        return sum(files.size_bytes(Path(path)) for path in self._setup.models.values()) >= _LARGE_BYTES

    def load(self, job: LoadJob) -> None:
        """Loads models."""
        for component in job.components:
            # How a scorer decides is not known before it is prepared; its parts are among the components.
            if not component.takes_data_through:
                self._model(component)

    def _model(self, component: Component) -> Any:
        if component.takes_data_through:
            return self._through(component)
        if component.is_composed:
            vae = self._setup.vae
            models: dict[Component, Any] = {part: self._model(part) for part in vae.components if part in _GENERATIVE}
            return composed.chain(component, vae, models)
        if component not in self._models:
            path, form = Path(self._setup.models[component]), self._setup.forms.get(component)
            if form is not None:
                model = load_original(path, form, self._setup.code)
            else:
                model = load_model(path)
                check_interface(component, model, self._setup.vae)
            self._models[component] = model
        return self._models[component]

    def prepare(self, job: PrepareJob) -> tuple[Prepared, ...]:
        """Makes calibration samples, goldens and noise floors."""
        arrays: dict[str, Any] = {}
        if self._setup.reference:
            vae = self._setup.vae
            dtype = np.uint8 if vae.data is DataKind.IMAGE else np.float32
            arrays = read_reference(Path(self._setup.reference), vae.input_shape, dtype).arrays()
        return tuple(self._prepare_component(component, arrays) for component in job.components)

    def _prepare_component(self, component: Component, arrays: dict[str, Any]) -> Prepared:
        if component.is_composed:
            return self._prepare_composed(component, arrays)
        seeds = range(self._setup.calibration_seeds)
        calibrations = [self._drawing.drawn(component, arrays, samples.CALIBRATION, seed) for seed in seeds]
        golden = self._drawing.drawn(component, arrays, samples.GOLDEN)
        original = self._original(component)
        outputs = original.golden_outputs(golden.inputs)
        floor = original.noise_floor(golden.inputs, outputs)
        if component is Component.DECODER and self._observed_values(arrays):
            spread_nats = self._save_observed(arrays, golden).spread_nats(outputs[self._setup.vae.output])
            floor = replace(floor, elbo_spread_nats=spread_nats)
        self._files.write_floor(component, floor)
        self._files.save(component, {"input": golden.inputs, "output": outputs})
        self._files.save(component, {calibration_role(seed): calibrations[seed].inputs for seed in seeds})
        self._measure_magnitude(component, original, golden.inputs, calibrations[0].inputs)
        return Prepared(
            component=component,
            floor=floor,
            golden_strata=golden.strata,
            calibration_strata=calibrations[0].strata,
            observed_values=self._observed_values(arrays),
        )

    def _observed_values(self, arrays: Mapping[str, Any]) -> int:
        """Returns how many values an item has that p(x|z) can score; 0 without such items."""
        return int(np.prod(self._setup.vae.data_shape)) if arrays and has_elbo(self._setup.vae) else 0

    def _save_observed(self, arrays: Mapping[str, Any], golden: samples.Samples) -> Observed:
        """Saves the items that the first golden latents were drawn for, and returns them."""
        vae, log_scale = self._setup.vae, None
        x, _ = self._drawing.observed(arrays)
        self._files.save(Component.DECODER, {"observed": {"x": x}})
        if vae.likelihood is Likelihood.DISCRETIZED_LOGISTIC:
            first = {name: values[: len(x)] for name, values in golden.inputs.items()}
            inputs = list(first.values())
            outputs = self._model(Component.DECODER)(inputs if len(inputs) > 1 else inputs[0], training=False)
            log_scale = np.asarray(outputs[1])
            self._files.save(Component.DECODER, {"observed": {"log_scale": log_scale}})
        return Observed.of(vae, x, log_scale)

    def _through(self, component: Component) -> through.Through:
        """Returns encoder and decoder together; a scorer decides as was found when it was prepared."""
        parts = {str(part): self._model(part) for part in (Component.ENCODER, Component.DECODER)}
        scoring = self._files.scoring() if component is Component.SCORER else None
        return through.Through(component=component, vae=self._setup.vae, scoring=scoring, **parts)

    def _composed_goldens(self, component: Component, arrays: dict[str, Any]) -> samples.Samples:
        setup = self._setup
        if component is Component.RECONSTRUCTOR:
            golden = self._drawing.drawn(Component.ENCODER, arrays, samples.GOLDEN)
            return composed.completed(golden, component, setup.vae, np.random.default_rng([setup.seed, _SEEDS_STREAM]))
        if component is Component.SCORER:
            found = scorer_data(
                self._model(Component.ENCODER),
                self._model(Component.DECODER),
                arrays,
                setup.vae,
                false_positive_rate=setup.false_positive_rate,
                seed=setup.seed,
                one_by_one=setup.one_by_one,
            )
            self._files.write_scoring(found.scoring)
            kept = {"held_out": found.held_out, "calibration": found.calibration}
            self._files.save(component, {**kept, "observed": {"anomalous": found.anomalous}})
            return found.golden
        parameters = self._original(component).parameters if component is Component.GENERATOR else 0
        rng = np.random.default_rng([setup.seed, _SEEDS_STREAM])
        return composed.golden_inputs(component, setup.vae, rng, parameters=parameters)

    def _prepare_composed(self, component: Component, arrays: dict[str, Any]) -> Prepared:
        """Prepares what is made of other components and needs no calibration of its own."""
        vae = self._setup.vae
        golden = self._composed_goldens(component, arrays)
        noise = composed.feed(component, golden.inputs, vae)
        original = self._original(component)
        outputs = original.golden_outputs(noise)
        self._files.save(component, {"input": golden.inputs, "output": outputs})
        if self._is_costly_decoder(component):
            return Prepared(
                component=component,
                floor=original.unmeasured_floor(outputs),
                golden_strata=golden.strata,
                calibration_strata=(),
                floor_of=Component.DECODER,
            )
        floor = replace(original.noise_floor(noise, outputs), exact=composed.is_exact(component, vae))
        if component is Component.SCORER:
            floor = floor.of_scores(outputs[SCORE], golden.strata[0].count)
        return Prepared(component=component, floor=floor, golden_strata=golden.strata, calibration_strata=())

    def _original(self, component: Component) -> Original:
        halved = self._model(Component.DECODER) if component is Component.GENERATOR else None
        setup = self._setup
        return Original(component, self._model(component), setup.vae, halved=halved, one_by_one=setup.one_by_one)

    def _is_costly_decoder(self, component: Component) -> bool:
        """Whether a component is a generator whose network is a decoder of long calls: they share what is measured."""
        is_decoder = component is Component.GENERATOR and Component.PRIOR not in self._setup.vae.components
        return is_decoder and self._original(Component.DECODER).is_costly

    def _measure_magnitude(self, component: Component, original: Original, *samples: Mapping[str, Any]) -> None:
        """Writes down how large the values inside an original become on some of these samples."""
        taken = samples[:1] if original.is_costly else samples
        some = [compared(inputs, self._setup.vae, original.parameters) for inputs in taken]
        together = {name: np.concatenate([inputs[name] for inputs in some]) for name in some[0]}
        self._files.write_magnitude(component, original.inside(together).magnitude(together))

    def spread(self, job: SpreadJob) -> tuple[Spread, ...]:
        """Runs the originals on the goldens in this process's way."""
        found = []
        for component in job.components:
            if self._is_costly_decoder(component):
                found.append(Spread(component=component, ways={}))
                continue
            golden = self._files.load(component, "output", self._setup.vae.output_names(component))
            ways = self._original(component).spreads(self._golden_feed(component), golden)
            ways = {f"{how}, {job.way}": spread for how, spread in ways.items()}
            found.append(Spread(component=component, ways=ways))
        return tuple(found)

    def _golden_feed(self, component: Component) -> dict[str, Any]:
        """Returns what the original of a component takes for its golden inputs."""
        vae = self._setup.vae
        inputs = self._files.load(component, "input", [spec.name for spec in vae.inputs(component)])
        return composed.feed(component, inputs, vae)

    def coupling(self, job: CouplingJob) -> tuple[Coupling, ...]:
        """Finds the layers that make a sample depend on the rest of its batch, or on chance."""
        return tuple(Coupling(component=component, layer=self._coupled(component)) for component in job.components)

    def _coupled(self, component: Component) -> str:
        feed = self._golden_feed(component)
        try:
            return self._original(component).inside(feed).first_coupling(feed)
        except Exception:  # A model that cannot be traced for any batch size may raise anything.
            return ""

    def _source(self, component: Component) -> Source:
        if component not in self._sources:
            vae = self._setup.vae
            inputs = [spec.name for spec in vae.inputs(component)]
            is_scorer = component is Component.SCORER
            # What takes integers takes its window in units of the model; what takes samples takes them in floats.
            more = ["x"] if is_scorer and "x" not in inputs else []
            given = [*inputs[:1], *([] if vae.log_mel else more), *inputs[1:]]
            self._sources[component] = Source(
                component=component,
                model=self._model(component),
                vae=vae,
                calibration=self._files.known(component, "calibration", [*inputs, *more]),
                golden_inputs=self._files.load(component, "input", given),
                golden_outputs=self._files.load(component, "output", vae.output_names(component)),
                floor=self._files.floor(component),
                magnitude=self._files.magnitude(component),
                rewrites=self._setup.rewrites,
                tune=self._setup.tune,
                chips=parse_chips(self._setup.chips),
                one_by_one=self._setup.one_by_one,
                other_calibrations=()
                if component.is_composed
                else tuple(
                    self._files.load(component, calibration_role(seed), inputs)
                    for seed in range(1, self._setup.calibration_seeds)
                ),
                observed=self._files.observed(vae) if component is Component.DECODER else None,
                parts={part: self._source(part) for part in composed.parts(component, vae)},
                recipes=self._setup.recipes,
                scoring=self._files.scoring() if is_scorer else None,
                held_out=self._files.load(component, "held_out", given) if is_scorer else {},
                anomalous=self._files.load(component, "observed", ["anomalous"])["anomalous"] if is_scorer else None,
                cache=self._makings.load(component),
            )
        return self._sources[component]

    def front(self, job: FrontJob) -> Front:
        """Converts the first layers of a graph in the plainest way, and returns the names of all."""
        source = self._source(job.artifact.component).behind_front_end()
        rules = export_of(job.artifact.precision)
        layers = Layers(source.graph())
        if job.count:
            graph = layers.front(job.count)
            # Where `Source.graph` keeps what it has built.
            alone = replace(source, cache={f"graph-{fuse}": graph for fuse in (True, False)})
            rules.make_plain(job.artifact.format, alone)
        return Front(layers=layers.names())

    def convert(self, job: ConvertJob) -> Converted:
        """Makes an artifact."""
        effort, source = Effort(job.time_limit_s), self._source(job.artifact.component)
        parts = {part: replace(own, effort=effort) for part, own in source.parts.items()}
        source = replace(source, golden_strata=job.golden_strata, parts=parts, effort=effort)
        artifact = finish(make_artifact(job.artifact, source, job.rules, job.batches), source, self._setup.statement)
        files.write_bytes(self._folder / job.artifact.filename, artifact.content)
        return Converted(
            record=artifact.record,
            error_ratio=artifact.error_ratio,
            recipe=artifact.recipe,
            makings=self._makings.save(source, job.artifact.format),
        )


def main() -> int:
    """Serves on the process's own pipes."""
    serve(Worker(Path(sys.argv[1])).handlers())
    return 0


if __name__ == "__main__":
    sys.exit(main())
