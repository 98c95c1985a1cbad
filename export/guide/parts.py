"""The components of a bundle that the guide's code uses, each with the file that suits an app best."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.portability.records import Backend
from pocketvae.reporting.escapes import c_identifier
from pocketvae.spec import Component, Format, Precision, Quantization, TensorSpec
from pocketvae.vae_spec import CONTRIBUTIONS, DataKind, VaeSpec

_FUNCTIONS: Mapping[Component, str] = {
    Component.ENCODER: "encode",
    Component.DECODER: "decode",
    Component.PRIOR: "transform",
    Component.SAMPLER: "sample",
    Component.GENERATOR: "generate",
    Component.RECONSTRUCTOR: "reconstruct",
    Component.SCORER: "score",
}
# Small and fast on a CPU first. int16x8 has no fast kernels there, int8_io takes integers.
_PREFERRED = (Precision.INT8, Precision.DYNAMIC_INT8, Precision.FLOAT16, Precision.FLOAT32)
_PLAIN = ("float32", "int32")
# Names of the code itself: in C++, JavaScript and Python, and in Kotlin and Swift.
_LOCAL = frozenset(
    {"check", "dequantize", "inputs", "memory_", "model_", "np", "ort", "outputs", "position", "quantize", "results"}
    | {"run", "session_", "value", "values", "input_buffers_", "output_buffers_", "int32_t", "int64_t"}
    | {"Float32Array", "Int32Array", "Tensor"}
    | set(Component)
)
_MEMBERS = frozenset(
    {"model", "numbers", "outputs", "runner", "session", "precondition"}
    | {"Data", "Float", "Int32", "NSMutableData", "ORTValue"}
)
# What templates append to a variable, likewise.
_ENDINGS = ("_data", "_shape")
_CAMEL_ENDINGS = ("Buffer", "Value")


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output as the code of the guide writes it.

    Attributes:
        spec: Of the file.
        variable: In C++, JavaScript and Python. Neither it nor what templates append to it is another's of the part,
            and no name around it hides it.
        camel_name: In Kotlin and Swift, likewise: `zLogVar` of `z_log_var`.
    """

    spec: TensorSpec
    variable: str
    camel_name: str

    @property
    def name(self) -> str:
        """Of the tensor in the file."""
        return self.spec.name

    @property
    def dtype(self) -> str:
        """Numpy name of the element type."""
        return self.spec.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions with the batch first."""
        return self.spec.shape

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def is_scalar(self) -> bool:
        """Whether it is one number for each sample, which a function takes as such."""
        return self.shape == (1,)

    @property
    def has_values(self) -> str:
        """What a caller that passes another count is told."""
        return f"{self.name} has {self.size} values"

    @property
    def quantization(self) -> Quantization | None:
        """Of integers that stand for real numbers."""
        return self.spec.quantization


@dataclass(frozen=True, kw_only=True)
class Part:
    """One component in one format, as the code of the guide uses it.

    Attributes:
        artifact: The recommended file.
        vae: Gives the image's shape and range.
    """

    artifact: ArtifactRecord
    vae: VaeSpec

    @property
    def component(self) -> Component:
        """Which component."""
        return self.artifact.component

    @property
    def function(self) -> str:
        """The function that runs it, the same in every language."""
        return _FUNCTIONS[self.component]

    @property
    def class_name(self) -> str:
        """The class that holds it, in languages that want one."""
        return str(self.component).capitalize()

    @property
    def about(self) -> str:
        """What it does, for a comment."""
        inputs, outputs = (
            ", ".join(f"{item.name} {list(item.shape)}" for item in items) for items in (self.inputs, self.outputs)
        )
        return f"{inputs} to {outputs}"

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Of the file, in the order of the function's arguments."""
        return _tensors(self.artifact)[: len(self.artifact.inputs)]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Of the file, in the order in which the function returns them."""
        return _tensors(self.artifact)[len(self.artifact.inputs) :]

    @property
    def is_mixed(self) -> bool:
        """Whether its outputs have different types."""
        return len({item.dtype for item in self.outputs}) > 1

    @property
    def watches(self) -> bool:
        """Whether it scores windows of a stream, so that code keeps the last time steps for it."""
        is_stream = self.vae.data is DataKind.SEQUENCE and len(self.inputs) == 1
        return self.component is Component.SCORER and is_stream and not self.vae.flat

    @property
    def steps(self) -> int:
        """Time steps of a window."""
        return self.vae.input_shape[0]

    @property
    def width(self) -> int:
        """Values of a time step."""
        return self.vae.input_shape[-1]

    @property
    def hop(self) -> int:
        """Time steps between two calls, unless an app wants others: a quarter of a window."""
        return max(1, self.steps // 4)

    @property
    def has_contributions(self) -> bool:
        """Whether a scorer says which channel the score comes from."""
        return any(item.name == CONTRIBUTIONS for item in self.outputs)

    @property
    def path(self) -> str:
        """The file."""
        return self.artifact.file.path

    @property
    def stem(self) -> str:
        """The file without its ending, which iOS asks for apart."""
        return self.path.rpartition(".")[0]

    @property
    def ending(self) -> str:
        """The file's ending without the dot."""
        return self.path.rpartition(".")[2]


def _tensors(artifact: ArtifactRecord) -> tuple[Tensor, ...]:
    """Returns inputs, then outputs: one function has variables for both."""
    specs = (*artifact.inputs, *artifact.outputs)
    plain = _distinct([c_identifier(item.name) for item in specs], _LOCAL, _ENDINGS)
    camel = _distinct([_camel_case(item.name) for item in specs], _MEMBERS, _CAMEL_ENDINGS)
    return tuple(
        Tensor(spec=spec, variable=variable, camel_name=name)
        for spec, variable, name in zip(specs, plain, camel, strict=True)
    )


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return c_identifier(first + "".join(word.capitalize() for word in rest))


def _distinct(names: Iterable[str], reserved: Collection[str], endings: Collection[str]) -> list[str]:
    """Returns the names, with `_` behind those that would clash, by themselves or with an ending."""
    taken, found = set(reserved), []
    for name in names:
        # A name of `_` alone is none in Kotlin and Swift.
        own = name if name.strip("_") else f"tensor{name}"
        while taken & (forms := {own, *(own + ending for ending in endings)}):
            own += "_"
        taken |= forms
        found.append(own)
    return found


def parts_of(manifest: Manifest, format: Format, over_budget: Collection[str]) -> tuple[Part, ...]:
    """Returns every component that the bundle has in a format."""
    components = dict.fromkeys(artifact.component for artifact in manifest.artifacts)
    found = [recommended(manifest, component, format, over_budget) for component in components]
    return tuple(Part(artifact=artifact, vae=manifest.vae) for artifact in found if artifact is not None)


def recommended(
    manifest: Manifest, component: Component, format: Format, over_budget: Collection[str]
) -> ArtifactRecord | None:
    """Returns the file of a component that suits an app on a CPU best; None where there is none with a plain interface.

    Args:
        manifest: Of the bundle.
        component: Which one.
        format: Which one.
        over_budget: Names of artifacts that miss their budget; they come last, and so does what XNNPACK leaves out.
    """
    candidates = [
        artifact
        for artifact in manifest.artifacts
        if artifact.component is component and artifact.format is format and _is_plain(artifact)
    ]
    return min(candidates, key=lambda item: _rank(item, over_budget), default=None)


def _rank(artifact: ArtifactRecord, over_budget: Collection[str]) -> tuple[bool, bool, int]:
    known = artifact.precision in _PREFERRED
    place = _PREFERRED.index(artifact.precision) if known else len(_PREFERRED)
    return artifact.name in over_budget, _leaves_xnnpack(artifact), place


def _leaves_xnnpack(artifact: ArtifactRecord) -> bool:
    whole = [item.is_whole for item in artifact.portability if item.backend is Backend.XNNPACK]
    # The integers that number an image are never XNNPACK's, whatever the decoder behind them.
    return not all(whole) and not artifact.component.is_composed


def _is_plain(artifact: ArtifactRecord) -> bool:
    return all(tensor.dtype in _PLAIN for tensor in (*artifact.inputs, *artifact.outputs))


def make_images(vae: VaeSpec, parts: Sequence[Part]) -> bool:
    """Whether one of the parts returns an image."""
    return vae.data is DataKind.IMAGE and any(
        part.component in (Component.DECODER, Component.GENERATOR) for part in parts
    )
