"""The chips that an export can be for, and which files each may take."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.errors import SpecError, unknown_name
from pocketvae.portability.ethos_u import ACCELERATORS, EthosU
from pocketvae.portability.hexagon import SOC_MODELS, generation_of
from pocketvae.spec import ArtifactSpec, Component, Format, Precision


class ChipKind(enum.StrEnum):
    """A family of chips.

    ETHOS_U: Arm's NPUs of microcontrollers. HEXAGON: Qualcomm's NPU of phones. GPU: a phone's GPU, by LiteRT. CPU:
    any processor.
    """

    ETHOS_U = "ethos-u"
    HEXAGON = "hexagon"
    GPU = "gpu"
    CPU = "cpu"


# Float32 is left out on Hexagon, which computes it in half precision from a file of twice the size.
_TAKEN = {
    ChipKind.ETHOS_U: (Format.TFLITE, (Precision.INT8, Precision.INT8_IO, Precision.INT16X8)),
    ChipKind.HEXAGON: (Format.ONNX, (Precision.FLOAT16, Precision.INT8, Precision.INT16X8)),
    ChipKind.GPU: (Format.TFLITE, (Precision.FLOAT32, Precision.FLOAT16)),
}
# As the target of this name: an app that asks for single precision.
_GPU_FLOAT32 = "gpu:float32"
_TITLES = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}
_NAMES = (
    *(kind.value for kind in ChipKind if kind is not ChipKind.ETHOS_U),
    _GPU_FLOAT32,
    *(f"{ChipKind.HEXAGON.value}:{generation}" for generation in SOC_MODELS),
    *ACCELERATORS,
)


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One chip.

    Attributes:
        name: As the user typed it.
        kind: Its family.
    """

    name: str
    kind: ChipKind

    @classmethod
    def parse(cls, name: str) -> Chip:
        """Reads `cpu`, `gpu[:float32]`, `hexagon[:GENERATION]`, or what `EthosU.parse` reads.

        Raises:
            SpecError: the name is unknown.
        """
        kind, colon, option = name.partition(":")
        if kind.startswith(ChipKind.ETHOS_U):
            EthosU.parse(name)
            return cls(name=name, kind=ChipKind.ETHOS_U)
        if kind not in tuple(ChipKind):
            raise unknown_name("chip", name, _NAMES)
        if kind == ChipKind.HEXAGON:
            generation_of(option)
        elif colon and name != _GPU_FLOAT32:
            raise SpecError(f"{kind} does not take this option, got {name}")
        return cls(name=name, kind=ChipKind(kind))

    @property
    def identity(self) -> str:
        """The same text for two names of one chip, such as `hexagon` and `hexagon:v75`."""
        if self.kind is ChipKind.HEXAGON:
            return f"{self.kind}:{generation_of(self.name.partition(':')[2])}"
        return self.accelerator.describe() if self.accelerator else self.name

    @property
    def accelerator(self) -> EthosU | None:
        """The Ethos-U that it is; None for another chip."""
        return EthosU.parse(self.name) if self.kind is ChipKind.ETHOS_U else None

    @property
    def is_cpu(self) -> bool:
        """Whether it takes every file."""
        return self.kind is ChipKind.CPU

    def declines(self, spec: ArtifactSpec) -> str:
        """Returns why an artifact is not for this chip; empty if it may be."""
        if self.is_cpu:
            return ""
        format, precisions = _TAKEN[self.kind]
        if spec.format is not format or spec.precision not in precisions:
            return f"{self.name} runs {_listed(precisions)} {_TITLES[format]} files"
        if spec.component in (Component.SAMPLER, Component.GENERATOR):
            return f"{self.name} does not support shifts and exclusive or: use a decoder"
        return ""


def parse_chips(names: Sequence[str]) -> tuple[Chip, ...]:
    """Reads names of chips.

    Raises:
        SpecError: one is unknown or given twice, also by two of its names.
    """
    chips: dict[str, Chip] = {}
    for name in names:
        chip = Chip.parse(name)
        known = chips.setdefault(chip.identity, chip)
        if known is not chip:
            same = f"{known.name} and {name} are the same chip: name one of them"
            raise SpecError(f"the chip {name} is named twice" if known.name == name else same)
    return tuple(chips.values())


def candidates(chips: Sequence[Chip], artifacts: Sequence[ArtifactSpec]) -> tuple[ArtifactSpec, ...]:
    """Returns the artifacts that at least one chip may take.

    Raises:
        SpecError: there is none for a chip.
    """
    for chip in chips:
        reasons = dict.fromkeys(chip.declines(spec) for spec in artifacts)
        if "" not in reasons:
            raise SpecError(f"{next(iter(reasons))}, but none is to be exported")
    return tuple(spec for spec in artifacts if any(not chip.declines(spec) for chip in chips))


def refused_by(target: str, spec: ArtifactSpec) -> str:
    """Returns why an artifact is not for the chip that a target stands for; empty if it is, or it stands for none."""
    try:
        return Chip.parse(target).declines(spec)
    except SpecError:
        return ""


def npus_of(chips: Sequence[Chip], spec: ArtifactSpec) -> tuple[EthosU, ...]:
    """Returns the Ethos-Us whose form a file gets; a float interface is the CPU's where the export is for one too."""
    if spec.format is not Format.TFLITE or not spec.precision.is_calibrated:
        return ()
    if spec.precision is not Precision.INT8_IO and any(chip.is_cpu for chip in chips):
        return ()
    return tuple(chip.accelerator for chip in chips if chip.accelerator is not None)


def _listed(precisions: Sequence[Precision]) -> str:
    *most, last = precisions
    return f"{', '.join(most)} and {last}" if most else last
