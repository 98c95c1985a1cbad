"""The inputs and outputs of a file as C++ sees them: a name, a type, and where the file has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.formats.tflite.model import main_signature, signature_places, view_model
from pocketvae.reporting.escapes import c_identifier
from pocketvae.spec import Quantization, TensorSpec

_TYPES = {"float32": "float", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "bool": "bool"}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One input or output.

    Attributes:
        spec: As the manifest has it.
        name: As a part of names in C++.
        index: Its position among the file's inputs or outputs.
    """

    spec: TensorSpec
    name: str
    index: int

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.spec.shape)

    @property
    def c_type(self) -> str:
        """Type of its values as stored."""
        return _TYPES[self.spec.dtype]

    @property
    def value_type(self) -> str:
        """Type of its values for a caller: a real number, or a whole one that stands for itself."""
        return "float" if self.spec.quantization or self.spec.dtype == "float32" else "int32_t"

    @property
    def quantization(self) -> Quantization | None:
        """How its integers stand for real numbers; None where they do not."""
        return self.spec.quantization

    @property
    def lowest(self) -> int:
        """The lowest integer."""
        return -128 if self.spec.dtype == "int8" else -32768

    @property
    def highest(self) -> int:
        """The highest integer."""
        return -self.lowest - 1


@dataclass(frozen=True, kw_only=True)
class Interface:
    """All of them, in the order of the manifest."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_interface(artifact: ArtifactRecord, content: bytes) -> Interface:
    """Returns a file's inputs and outputs.

    Raises:
        ManifestError: the file is damaged, or has no signature.
        SpecError: a tensor has a type that firmware does not take, or two have the same name in C++.
    """
    model = view_model(content)
    signature, graph = main_signature(model), model.subgraphs[0]
    return Interface(
        inputs=_tensors(artifact, artifact.inputs, signature.inputs, graph.inputs),
        outputs=_tensors(artifact, artifact.outputs, signature.outputs, graph.outputs),
    )


def _tensors(
    artifact: ArtifactRecord, specs: Sequence[TensorSpec], entries: Sequence[Any], order: Any
) -> tuple[Tensor, ...]:
    places = signature_places(entries, order)
    found = []
    for spec in specs:
        if spec.dtype not in _TYPES or spec.name not in places:
            raise SpecError(
                f"{artifact.name}: firmware does not take {spec.name!r} {spec.dtype}, only {', '.join(_TYPES)}"
            )
        found.append(Tensor(spec=spec, name=c_identifier(spec.name), index=places[spec.name]))
    names = [item.name for item in found]
    twice = next((item for item in found if names.count(item.name) > 1), None)
    if twice is not None:
        raise SpecError(f"{artifact.name}: two tensors are called {twice.name} in C++, one of them {twice.spec.name!r}")
    return tuple(found)
