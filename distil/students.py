"""The students: small decoders by family and width. How fast one is depends on these alone, not on its weights."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pocketvae.spec import STRICT
from pocketvae.vae_spec import DataKind, VaeSpec

_BLOCKS, _DEPTHS, _LAYERS = (2, 4, 8), (0, 1, 2, 3), (1, 2)
# Runtimes compute 8 or 16 channels at once: between two of these there are none that cost less.
_WIDTHS = (8, 16, 32, 64, 128)
_HIDDEN = (16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512, 768)
_UNITS = (8, 12, *_HIDDEN, 1024)
# Rows and columns, or time steps, of the lowest resolution: fewer say little of a place, more cost what a stage saves.
_FEWEST_CELLS, _MOST_CELLS, _MOST_STEPS = 4, 32, 64
_MOST_STAGES, _MOST_CHANNELS = 6, 512
# A dense layer reads each weight once for each call, so memory bounds it: two of a low rank cost less than one.
_WAIST_SHARE, _NARROWEST_WAIST = 4, 16


class Family(enum.StrEnum):
    """The kind of a student.

    SHUFFLE: dense layers with a narrow one among them, residual convolutions at low resolution and one depth-to-space.
    STAGES: the convolutional decoder of `pocketvae.train.networks`, one stage after another. DENSE: dense layers alone,
    one of them for the data.
    """

    SHUFFLE = "shuffle"
    STAGES = "stages"
    DENSE = "dense"


@dataclass(frozen=True, kw_only=True)
class Student:
    """The shapes of one student.

    Attributes:
        family: Its kind.
        width: Channels at low resolution, of the outermost of several stages; units of dense layers.
        hidden: Units of the first dense layer, where convolutions follow.
        block: Side of the block that one pixel of low resolution becomes; of SHUFFLE.
        cells: Channels behind the dense layers of SHUFFLE, which a 1x1 convolution makes `width`; 0 for no such layer.
        depth: Convolutions at low resolution of SHUFFLE, stages of STAGES, hidden layers of DENSE.
        bounded: Whether activations are bounded to [0, 6], so that 8 bits lose less.
    """

    __pydantic_config__ = STRICT
    family: Family
    width: int
    hidden: int = 0
    block: int = 0
    cells: int = 0
    depth: int = 0
    bounded: bool = False

    @property
    def waist(self) -> int:
        """Units of the narrow layer of SHUFFLE without activation, between the hidden units and the convolutions."""
        return max(self.hidden // _WAIST_SHARE, _NARROWEST_WAIST)

    def channels(self) -> tuple[int, ...]:
        """Returns the channels of each stage of STAGES, the outermost first."""
        return tuple(min(self.width * 2**stage, _MOST_CHANNELS) for stage in range(self.depth))

    def text(self) -> str:
        """Returns it as text: `shuffle of 4, 16 channels, 1 convolution before it, 256 hidden units, then 64`."""
        if self.family is Family.DENSE:
            return f"{self.depth} hidden layer{'s' if self.depth > 1 else ''} of {self.width} units"
        if self.family is Family.STAGES:
            return f"stages of {', '.join(map(str, self.channels()))} channels, {self.hidden} hidden units"
        channels = f"{self.cells} to {self.width}" if self.cells else f"{self.width}"
        before = f", {self.depth} convolution{'s' if self.depth > 1 else ''} before it" if self.depth else ""
        return f"shuffle of {self.block}, {channels} channels{before}, {self.hidden} hidden units, then {self.waist}"


def families(vae: VaeSpec, *, bounded: bool) -> Iterator[tuple[tuple[Student, ...], ...]]:
    """Yields the families that fit the data, in groups.

    In a group each family has more channels than the one before, in a family each student more units.

    Args:
        vae: The interface of the teacher.
        bounded: See `Student`.
    """
    for depth in _LAYERS:
        yield (tuple(Student(family=Family.DENSE, width=width, depth=depth, bounded=bounded) for width in _UNITS),)
    if vae.data is DataKind.VECTOR:
        return
    most = _MOST_CELLS if vae.data is DataKind.IMAGE else _MOST_STEPS
    side = min(vae.data_shape[:2]) if vae.data is DataKind.IMAGE else vae.data_shape[0]
    for stages in range(1, _MOST_STAGES + 1):
        if _FEWEST_CELLS <= side / 2**stages <= most:
            yield _widened(Student(family=Family.STAGES, width=1, depth=stages, bounded=bounded))
    if vae.data is not DataKind.IMAGE:
        return
    for block in _BLOCKS:
        if _FEWEST_CELLS <= math.ceil(side / block) <= most:
            for depth in _DEPTHS:
                yield _widened(Student(family=Family.SHUFFLE, width=1, block=block, depth=depth, bounded=bounded))


def _widened(shape: Student) -> tuple[tuple[Student, ...], ...]:
    """Returns a family for each number of channels."""
    # What convolutions are behind is computed for each place alone, so twice as much of it costs little.
    share = 2 if shape.family is Family.SHUFFLE and shape.depth else 0
    return tuple(
        tuple(replace(shape, width=width, cells=share * width, hidden=hidden) for hidden in _HIDDEN)
        for width in _WIDTHS
    )


def is_supported(vae: VaeSpec) -> bool:
    """Whether there are students for this kind of data."""
    return vae.data in (DataKind.IMAGE, DataKind.VECTOR, DataKind.SEQUENCE)
