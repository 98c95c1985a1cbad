"""The file of a student: converted as export converts a decoder, to float32 TFLite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pocketvae.distil.networks import with_head
from pocketvae.export.convert.graphs import build_graph
from pocketvae.export.convert.tflite import convert_float32
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
    vae = replace(vae, flat=())
    if user_supplied:
        headless = Likelihood.UNKNOWN if vae.likelihood is Likelihood.BERNOULLI else vae.likelihood
        model, vae = with_head(model, vae), replace(vae, likelihood=headless)
    return convert_float32(build_graph(Component.DECODER, model, vae))


def multiply_adds(content: bytes, format: Format = Format.TFLITE) -> int:
    """Returns the multiplications of a file's layers for one sample."""
    return read_integer_share(format, content).multiply_adds
