"""What the artifacts of one component are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export import onnx_convert
from pocketvae.export.goldens import Original
from pocketvae.export.graphs import Graph, build_graph
from pocketvae.spec import Component, VaeSpec

FloatArray = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]

_TUNING_SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the artifacts of one component are made from.

    Attributes:
        component: Which part of the VAE.
        model: The original Keras model.
        vae: Gives the interface.
        calibration: Input name to `[N, ...]` samples that fix activation ranges.
        golden_inputs: Input name to `[N, ...]`.
        golden_outputs: Output name to `[N, ...] float32`, from the original.
        parts: The sources of the components that this one is joined from.
    """

    component: Component
    model: Any
    vae: VaeSpec
    calibration: Inputs
    golden_inputs: Inputs
    golden_outputs: dict[str, FloatArray]
    parts: Mapping[Component, Source] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict, compare=False)

    def graph(self, *, fuse: bool = True) -> Graph:
        """Returns the component's graph, built once."""
        key = f"graph-{fuse}"
        if key not in self.cache:
            self.cache[key] = build_graph(self.component, self.model, self.vae, fuse=fuse)
        graph: Graph = self.cache[key]
        return graph

    def tuning(self) -> tuple[Inputs, dict[str, FloatArray]]:
        """Returns some calibration samples and the original's outputs for them: choices are not made on goldens."""
        if "tuning" not in self.cache:
            count = len(next(iter(self.calibration.values())))
            chosen = slice(None, None, max(1, count // _TUNING_SAMPLES))
            inputs = {name: values[chosen] for name, values in self.calibration.items()}
            original = Original(self.component, self.model, self.vae)
            self.cache["tuning"] = inputs, original.golden_outputs(inputs)
        tuning: tuple[Inputs, dict[str, FloatArray]] = self.cache["tuning"]
        return tuning

    def once(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Returns what `make` made the first time it was asked for under `key`."""
        if key not in self.cache:
            self.cache[key] = make()
        content: bytes = self.cache[key]
        return content

    def onnx_float32(self) -> bytes:
        """Returns the component's float32 ONNX file, converted once."""
        return self.once("onnx", lambda: onnx_convert.convert_float32(self.graph()))
