"""Tuning of a component's graph."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.errors import ExportError
from pocketvae.export.convert.graphs import Graph
from pocketvae.export.rewrites.catalogue import as_graph
from pocketvae.export.rewrites.frozen import freeze
from pocketvae.export.tuning.equalize import equalize
from pocketvae.export.tuning.latent_parts import split_latent
from pocketvae.export.tuning.names import Tuning
from pocketvae.export.tuning.output_parts import split_output
from pocketvae.export.tuning.samples import Inputs
from pocketvae.export.tuning.sum_parts import split_sums
from pocketvae.spec import Component


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A tuned graph.

    Attributes:
        graph: Of the component.
        equalized: In front of how many layers channels were equalized.
        latent_parts: How many layers are given a latent in parts.
        output_parts: How many heads are given a sum of parts.
        sum_parts: How many layers are given a residual sum in parts.
    """

    graph: Graph
    equalized: int
    latent_parts: int
    output_parts: int
    sum_parts: int = 0

    @property
    def is_changed(self) -> bool:
        """Whether anything was found to change."""
        return self.equalized + self.latent_parts + self.output_parts + self.sum_parts > 0


def tune(graph: Graph, component: Component, tuning: Tuning, samples: Inputs) -> Tuned:
    """Returns a graph in the form that loses less in 8 bits; the same graph where there is nothing to change.

    Args:
        graph: A component's.
        component: Which; parts are for decoders.
        tuning: What to change.
        samples: Calibration samples, input name to `[N, ...]`; no goldens.

    Raises:
        ExportError: a value inside the network is not finite on the samples.
    """
    frozen, counts = freeze(graph.function), [0, 0, 0, 0]
    is_decoder = component is Component.DECODER
    try:
        if tuning.exponent:
            frozen, counts[0] = equalize(frozen, samples, tuning.exponent)
        if tuning.latent_parts and is_decoder:
            frozen, counts[1] = split_latent(frozen, samples)
        if tuning.sum_parts > 1 and is_decoder:
            frozen, counts[3] = split_sums(frozen, samples, tuning.sum_parts)
        if tuning.output_parts > 1 and is_decoder:
            frozen, counts[2] = split_output(frozen, samples, tuning.output_parts)
    except FloatingPointError as e:
        raise ExportError(f"the {component} cannot be tuned: {e} on the calibration samples") from e
    equalized, latent, output, sums = counts
    tuned = as_graph(frozen, graph) if any(counts) else graph
    return Tuned(graph=tuned, equalized=equalized, latent_parts=latent, output_parts=output, sum_parts=sums)
