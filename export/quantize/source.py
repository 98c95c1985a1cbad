"""The source of the artifacts of one component."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.manifest import Stratum
from pocketvae.export.convert import onnx as onnx_convert
from pocketvae.export.convert import onnx_original, tflite
from pocketvae.export.convert.graphs import Graph, build_graph, weight_bytes
from pocketvae.export.original.goldens import NoiseFloor, Original, thinned
from pocketvae.export.original.inside import UNKNOWN, Magnitude
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.rewrites.catalogue import Rewritten, apply_steps
from pocketvae.export.rewrites.names import NONE, RewriteChoice, Step
from pocketvae.export.tuning.effort import Effort
from pocketvae.export.tuning.ladder import Tune
from pocketvae.export.tuning.names import Tuning
from pocketvae.export.tuning.tune import Tuned, tune
from pocketvae.numerics.likelihoods import Observed
from pocketvae.numerics.scoring import Scoring
from pocketvae.numerics.spectrogram import model_items
from pocketvae.portability.chips import Chip
from pocketvae.spec import Component, Format
from pocketvae.system import memory
from pocketvae.vae_spec import VaeSpec

FloatArray = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]

_TRIAL_SAMPLES = 256
# Of the outputs with which the variants of a search are compared: about 340 small images, or 85 of 64 px in colour.
_SEARCH_VALUES = 2**20
_FEWEST_SEARCH_SAMPLES = 16
# Of what samples of other seeds stand for: 1,365 images of 64 px in colour.
_SEED_VALUES = 2**24
_FEWEST_SEED_SAMPLES = 96
# Of the weights; every form of the graph holds them about three times.
_LARGE_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Source:
    """The source of the artifacts of one component.

    Attributes:
        component: Which part of the VAE.
        model: The original Keras model.
        vae: Gives the interface.
        calibration: Samples `[N, ...]` by input name that determine activation ranges.
        golden_inputs: Golden inputs `[N, ...]` by name.
        golden_outputs: The original's outputs `[N, ...] float32` by name.
        parts: The sources of the components that this one is merged from.
        golden_strata: Kinds of goldens.
        other_calibrations: More sets of calibration samples, from other seeds.
        observed: The images that the first golden latents were drawn for; None if there are none.
        recipes: Recipe by artifact, for those that are quantized without a search.
        floor: Noise floor of the original; None for composed components.
        magnitude: How large the values inside the original become; unknown for composed components.
        rewrites: The rewrites that may be tried.
        tune: How much is tried before layers stay in float.
        chips: What the export is for.
        steps: The rewrites that were applied to the graph.
        tuning: How the graph was changed further to lose less in 8 bits; None where it was not.
        one_by_one: See `pocketvae.export.original.goldens.Original`.
        scoring: How the original decides; of scorers.
        held_out: Normal items `[N, ...]` by input name, for the threshold of a scorer.
        anomalous: Which of the goldens are anomalies, `[N]`; of scorers.
        effort: What searches have cost so far, and when they must end.
    """

    component: Component
    model: Any
    vae: VaeSpec
    calibration: Inputs
    golden_inputs: Inputs
    golden_outputs: dict[str, FloatArray]
    parts: Mapping[Component, Source] = field(default_factory=dict)
    golden_strata: tuple[Stratum, ...] = ()
    other_calibrations: tuple[Inputs, ...] = ()
    observed: Observed | None = None
    recipes: dict[str, Recipe] = field(default_factory=dict)
    floor: NoiseFloor | None = None
    magnitude: Magnitude = UNKNOWN
    rewrites: RewriteChoice = NONE
    tune: Tune = Tune.NONE
    chips: tuple[Chip, ...] = ()
    steps: tuple[Step, ...] = ()
    tuning: Tuning | None = None
    one_by_one: bool = False
    scoring: Scoring | None = None
    held_out: Inputs = field(default_factory=dict)
    anomalous: npt.NDArray[np.bool_] | None = None
    effort: Effort = field(default_factory=Effort, compare=False)
    cache: dict[str, Any] = field(default_factory=dict, compare=False)

    def behind_front_end(self) -> Source:
        """Returns the source of an encoder that takes spectrograms in place of samples; the same where it has no other.

        That is what is rewritten and quantized: the front end is put before it, and stays in float32.
        """
        if self.vae.log_mel is None or self.component is not Component.ENCODER:
            return self
        key = "behind the front end"
        if key not in self.cache:

            def behind(inputs: Inputs) -> Inputs:
                return {**inputs, "x": model_items(inputs["x"], self.vae)}

            self.cache[key] = replace(
                self,
                vae=self.vae.behind_front_end,
                calibration=behind(self.calibration),
                golden_inputs=behind(self.golden_inputs),
                other_calibrations=tuple(map(behind, self.other_calibrations)),
                cache={},
            )
        found: Source = self.cache[key]
        return replace(found, effort=self.effort)

    def graph(self, *, fuse: bool = True) -> Graph:
        """Returns the component's graph, built once."""
        if self.tuning:
            return self.tuned(self.tuning, fuse=fuse).graph
        if self.steps:
            return self.rewritten(fuse=fuse).graph
        key = f"graph-{fuse}"
        if key not in self.cache:
            self.cache[key] = build_graph(self.component, self.model, self.vae, fuse=fuse)
        graph: Graph = self.cache[key]
        return graph

    def rewritten(self, *, fuse: bool = True) -> Rewritten:
        """Returns the graph with the rewrites, and the number of places of each, built once."""
        key = f"rewritten-{fuse}-{self.steps}"
        if key not in self.cache:
            self.cache[key] = apply_steps(replace(self, steps=(), tuning=None).graph(fuse=fuse), self.steps)
        rewritten: Rewritten = self.cache[key]
        return rewritten

    def tuned(self, tuning: Tuning, *, fuse: bool = True) -> Tuned:
        """Returns the component's graph, with its rewrites, in the form that loses less in 8 bits, made once."""
        key = f"tuned-{fuse}-{self.steps}-{tuning}"
        if key not in self.cache:
            graph = replace(self, tuning=None).graph(fuse=fuse)
            self.cache[key] = tune(graph, self.component, tuning, self.calibration)
        tuned: Tuned = self.cache[key]
        return tuned

    def trials(self) -> tuple[Inputs, dict[str, FloatArray]]:
        """Returns some calibration samples and the original's outputs for them: choices are not made on goldens."""
        if "trials" not in self.cache:
            count = len(next(iter(self.calibration.values())))
            chosen = slice(None, None, max(1, count // min(_TRIAL_SAMPLES, self._search_samples)))
            inputs = {name: values[chosen] for name, values in self.calibration.items()}
            original = Original(self.component, self.model, self.vae, one_by_one=self.one_by_one)
            self.cache["trials"] = inputs, original.golden_outputs(inputs)
        trials: tuple[Inputs, dict[str, FloatArray]] = self.cache["trials"]
        return trials

    def calibrations_of_other_seeds(self) -> tuple[Inputs, ...]:
        """Returns the other sets of calibration samples, fewer of them only where the data are very large.

        They make no file: they show how far the errors of one depend on its samples. A plan states shares of ranges,
        and fewer samples have narrower ones, of which the same share clips more than it does in any export.
        """
        key = "other calibrations"
        if key not in self.cache:  # kept, because quantizers know their samples by identity
            count = max(_FEWEST_SEED_SAMPLES, _SEED_VALUES // self._values)
            self.cache[key] = tuple(thinned(inputs, count) for inputs in self.other_calibrations)
        found: tuple[Inputs, ...] = self.cache[key]
        return found

    def with_few_goldens(self) -> Source:
        """Returns the source with fewer goldens where the outputs are large; the same where all are needed.

        The images that an ELBO is about belong to the first goldens, so that these stay as they are.
        """
        count = len(next(iter(self.golden_inputs.values())))
        if self.observed is not None or count <= self._search_samples:
            return self
        return replace(
            self,
            golden_inputs=thinned(self.golden_inputs, self._search_samples),
            golden_outputs=thinned(self.golden_outputs, self._search_samples),
        )

    @property
    def _search_samples(self) -> int:
        return max(_FEWEST_SEARCH_SAMPLES, _SEARCH_VALUES // self._values)

    @property
    def _values(self) -> int:
        """Of one sample."""
        return max(math.prod(self.vae.data_shape), self.vae.latent_dim)

    def once(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Returns what `make` made of the same rewrites the first time it was asked for under `key`."""
        key = f"{key}-{self.steps}" if self.tuning is None else f"{key}-{self.steps}-{self.tuning}"
        if key not in self.cache:
            self.cache[key] = make()
        content: bytes = self.cache[key]
        return content

    def forget(self) -> None:
        """Drops what was made of these rewrites if the network is so large that what is not used would fill the memory.

        What was made of the graph without rewrites stays.
        """
        if not self.steps or self._weight_bytes < _LARGE_BYTES:
            return
        for key in [key for key in self.cache if key.endswith(f"-{self.steps}")]:
            del self.cache[key]
        memory.release()

    @property
    def _weight_bytes(self) -> int:
        key = "weight bytes"
        if key not in self.cache:
            self.cache[key] = weight_bytes(replace(self, steps=(), tuning=None).graph())
        found: int = self.cache[key]
        return found

    def float32(self, format: Format, *, fuse: bool = True) -> bytes:
        """Returns the component in float32, converted once."""
        if format is Format.ONNX and not self.steps and self.tuning is None:
            own = onnx_original.float32_of(self.component, self.model, self.vae)
            if own is not None:
                return self.once(f"float32-{format}", lambda: own)
        convert = onnx_convert.convert_float32 if format is Format.ONNX else tflite.convert_float32
        return self.once(f"float32-{format}-{fuse}", lambda: convert(self.graph(fuse=fuse)))
