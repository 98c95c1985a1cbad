"""What a worker has prepared, as files in its working folder: samples, goldens, noise floors, how a scorer decides."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pocketvae.documents import decode_line, encode_line
from pocketvae.errors import ExportError
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.original.inside import UNKNOWN, Magnitude
from pocketvae.numerics.likelihoods import Observed
from pocketvae.numerics.scoring import Scoring
from pocketvae.spec import Component
from pocketvae.system.files import write_bytes
from pocketvae.vae_spec import VaeSpec

_Document = TypeVar("_Document")


def array_path(folder: Path, component: Component, role: str, name: str) -> Path:
    """Returns where an array of the preparation lies: role is `calibration`, `input` or `output`."""
    return folder / f"{component}.{role}.{name}.npy"


def calibration_role(seed: int) -> str:
    """Returns the role of a set of calibration samples; the first one's makes the artifacts."""
    return "calibration" if seed == 0 else f"calibration{seed}"


@dataclass(frozen=True)
class PreparedFiles:
    """The files of one working folder.

    Attributes:
        folder: The folder.
    """

    folder: Path

    def load(self, component: Component, role: str, names: Iterable[str]) -> dict[str, Any]:
        """Reads arrays by name."""
        return {name: np.load(array_path(self.folder, component, role, name)) for name in names}

    def known(self, component: Component, role: str, names: Iterable[str]) -> dict[str, Any]:
        """Reads those arrays that there are."""
        return self.load(component, role, (n for n in names if array_path(self.folder, component, role, n).is_file()))

    def save(self, component: Component, roles: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes arrays by role and name."""
        for role, values in roles.items():
            for name, array in values.items():
                # numpy's own writing says of a full disk only how many values fitted.
                content = io.BytesIO()
                np.save(content, array)
                write_bytes(array_path(self.folder, component, role, name), content.getvalue())

    def observed(self, vae: VaeSpec) -> Observed | None:
        """Reads the images that the decoder's first golden latents were drawn for, if there are any."""
        found = self.known(Component.DECODER, "observed", ("x", "log_scale"))
        return Observed.of(vae, **found) if found else None

    def write_floor(self, component: Component, floor: NoiseFloor) -> None:
        """Writes the noise floor of a component."""
        self._write(component, "floor", floor)

    def floor(self, component: Component) -> NoiseFloor | None:
        """Reads the noise floor of a component; None of one that is composed."""
        return self._read(component, "floor", NoiseFloor)

    def write_magnitude(self, component: Component, magnitude: Magnitude) -> None:
        """Writes how large the values inside an original become."""
        self._write(component, "magnitude", magnitude)

    def magnitude(self, component: Component) -> Magnitude:
        """Reads how large they become."""
        return self._read(component, "magnitude", Magnitude) or UNKNOWN

    def write_scoring(self, scoring: Scoring) -> None:
        """Writes how the original of a scorer decides."""
        self._write(Component.SCORER, "scoring", scoring)

    def scoring(self) -> Scoring:
        """Reads how it decides.

        Raises:
            ExportError: it was not prepared.
        """
        found = self._read(Component.SCORER, "scoring", Scoring)
        if found is None:
            raise ExportError("the scorer must be prepared before it is made")
        return found

    def _write(self, component: Component, name: str, document: object) -> None:
        (self.folder / f"{component}.{name}.json").write_text(encode_line(document), "utf-8")

    def _read(self, component: Component, name: str, kind: type[_Document]) -> _Document | None:
        path = self.folder / f"{component}.{name}.json"
        return decode_line(kind, path.read_bytes()) if path.is_file() else None
