"""What firmware collects before it calls the model: time steps of a sequence, or one row of a table."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.export.firmware.tensors import Tensor
from pocketvae.fields import Channel
from pocketvae.vae_spec import DataKind, VaeSpec

# Inputs that hold data: in units of the model, and in the sensor's.
MODEL_UNITS, RAW_UNITS = "x", "window"
_WINDOWS = (DataKind.SEQUENCE, DataKind.VECTOR)
# Without a wish, a call for every quarter of a window.
_HOPS_IN_A_WINDOW = 4


@dataclass(frozen=True, kw_only=True)
class Window:
    """A ring buffer of time steps.

    Attributes:
        tensor: The input that it fills.
        steps: T; 1 for a row of a table.
        width: Values of the model in one step.
        hop: New steps from one call to the next.
        channels: What one step has, in the sensor's units.
        is_normalized: Whether firmware computes `(value - mean) / scale`; the file itself does it otherwise.
    """

    tensor: Tensor
    steps: int
    width: int
    hop: int
    channels: tuple[Channel, ...]
    is_normalized: bool

    @property
    def means(self) -> tuple[float, ...]:
        """What is subtracted from each channel."""
        return tuple(item.mean if self.is_normalized else 0.0 for item in self.channels)

    @property
    def scales(self) -> tuple[float, ...]:
        """What each channel is divided by."""
        return tuple(item.scale if self.is_normalized else 1.0 for item in self.channels)

    @property
    def widths(self) -> tuple[int, ...]:
        """Values of the model for each channel."""
        return tuple(item.width for item in self.channels)

    @property
    def bytes(self) -> int:
        """Memory of the ring buffer."""
        size = {"float": 4, "int8_t": 1, "int16_t": 2}[self.tensor.c_type]
        return self.steps * self.width * size


def window_of(vae: VaeSpec, inputs: tuple[Tensor, ...], hop: int | None) -> Window | None:
    """Returns the window of a model of sequences or vectors; None for other data, and for a decoder.

    Raises:
        SpecError: a hop is given where there is no window of time steps, or is not within it.
    """
    tensor = next((item for item in inputs if item.spec.name in (MODEL_UNITS, RAW_UNITS)), None)
    is_sequence = vae.data is DataKind.SEQUENCE
    if hop is not None and (tensor is None or not is_sequence):
        raise SpecError("--hop is for a model that takes time steps: leave it out")
    if tensor is None or vae.data not in _WINDOWS:
        return None
    steps = vae.input_shape[0] if is_sequence else 1
    width = vae.input_shape[-1]
    if hop is not None and not 1 <= hop <= steps:
        raise SpecError(f"--hop must be 1 to {steps}, the steps of a window, got {hop}")
    return Window(
        tensor=tensor,
        steps=steps,
        width=width,
        hop=hop or max(1, steps // _HOPS_IN_A_WINDOW),
        channels=vae.input_channels or tuple(Channel() for _ in range(width)),
        is_normalized=tensor.spec.name == MODEL_UNITS,
    )
