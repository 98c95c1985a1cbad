"""The files of a student: converted as export converts a decoder, to TFLite of float32 or of int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from pocketvae.distil.networks import with_head
from pocketvae.export.convert.graphs import Graph, build_graph
from pocketvae.export.convert.tflite import convert_float32
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite import calibrate, quantize
from pocketvae.formats.arithmetic import read_integer_share
from pocketvae.spec import Component, Format
from pocketvae.vae_spec import Likelihood, VaeSpec


def convert(model: Any, vae: VaeSpec, *, user_supplied: bool) -> bytes:
    """Returns a student as a float32 TFLite file with one sample a call.

    Args:
        model: From `build_student`.
        vae: The interface of the teacher.
        user_supplied: Whether the student becomes a user-supplied decoder, which has its head inside.

    Raises:
        ExportError: the conversion failed.
    """
    return convert_float32(_graph(model, vae, user_supplied=user_supplied))


def convert_integer(model: Any, vae: VaeSpec, inputs: Mapping[str, npt.NDArray[Any]], *, user_supplied: bool) -> bytes:
    """Returns a student as a TFLite file of int8 with an integer interface, as NPUs take it.

    Its ranges are those of the given inputs; nothing is tuned as export does, which changes no shape.

    Args:
        model: From `build_student`, or the teacher as pocketvae trained it.
        vae: The interface of the teacher.
        inputs: What ranges are found with: latents `[N, D]` and labels by name.
        user_supplied: See `convert`.

    Raises:
        ExportError: the conversion failed.
    """
    calibrated = calibrate(_graph(model, vae, user_supplied=user_supplied), inputs)
    return quantize(calibrated, QuantizationPlan(), integer_interface=True)


def _graph(model: Any, vae: VaeSpec, *, user_supplied: bool) -> Graph:
    vae = replace(vae, flat=())
    if user_supplied:
        headless = Likelihood.UNKNOWN if vae.likelihood is Likelihood.BERNOULLI else vae.likelihood
        model, vae = with_head(model, vae), replace(vae, likelihood=headless)
    return build_graph(Component.DECODER, model, vae)


def multiply_adds(content: bytes, format: Format = Format.TFLITE) -> int:
    """Returns the multiplications of a file's layers for one sample."""
    return read_integer_share(format, content).multiply_adds
