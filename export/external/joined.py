"""Decoders whose one output holds the data and their log-variance, one behind the other on the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.keras.loading import OpenModel, Tensor
from pocketvae.keras.model_form import ModelForm, Port, Role
from pocketvae.vae_spec import DataKind

HINT = "if they are a mean and its log-variance, state this with --joined-outputs (mean+log_var or log_var+mean)"
# What the halves are called: their names say what they are.
_NAMES = {Role.MEAN_LOG_VAR: ("mean", "log_var"), Role.LOG_VAR_MEAN: ("log_var", "mean")}


def with_halves(opened: OpenModel, role: Role | None) -> OpenModel:
    """Returns a decoder that returns the two halves of its output; the same where nothing is joined.

    Args:
        opened: The decoder.
        role: The order of the halves; None for a decoder without.

    Raises:
        ExportError: it has several outputs, or one of an odd width.
    """
    if role is None:
        return opened
    if len(opened.outputs) > 1:
        names = ", ".join(output.name for output in opened.outputs)
        raise ExportError(f"--joined-outputs needs a decoder of one output, but this one has {names}")
    (output,) = opened.outputs
    width = output.shape[-1]
    if width is None or width % 2:
        raise ExportError(f"--joined-outputs needs an output of an even width, got {width} in {output.name!r}")
    half = width // 2

    def call(values: Sequence[Any]) -> list[Any]:
        (joined,) = opened.call(values)
        return [joined[..., :half], joined[..., half:]]

    halves = tuple(Tensor(name=name, dtype=output.dtype, shape=(*output.shape[:-1], half)) for name in _NAMES[role])
    return replace(opened, outputs=halves, call=call)


def rejoined(form: ModelForm, output: Tensor | None, role: Role | None) -> ModelForm:
    """Returns the form of the decoder as it was saved, from that of the one with halves.

    Args:
        form: Of the decoder that `with_halves` returned.
        output: The output of the decoder as it was saved; None where nothing is joined.
        role: As for `with_halves`.

    Raises:
        ExportError: one half is not exported, or the data are images without an axis of channels.
    """
    if output is None or role is None:
        return form
    if {port.role for port in form.outputs} != {Role.IMAGE, Role.MORE}:
        raise ExportError("--joined-outputs exports both halves, of data with channels: leave out --more-outputs none")
    width = 2 * form.outputs[0].shape[-1]
    joined = Port(name=output.name, role=role, dtype=output.dtype, shape=(*form.outputs[0].shape[:-1], width))
    return replace(form, outputs=(joined,))


def joined_doubt(role: Role | None, data: DataKind, shape: tuple[int, ...], is_bounded: bool) -> str:
    """Returns that an output may hold a log-variance, where it is an image of twice the usual channels."""
    is_odd = data is DataKind.IMAGE and len(shape) == DataKind.IMAGE.rank and shape[-1] in (2, 6)
    return f"the decoder's images have {shape[-1]} channels: {HINT}" if is_odd and not (role or is_bounded) else ""
