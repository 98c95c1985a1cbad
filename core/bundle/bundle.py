"""Reading a bundle directory: the manifest, every file's hash, the goldens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.demo import DEMO, located
from pocketvae.bundle.manifest import MANIFEST_NAME, ArtifactRecord, FileRecord, GoldenRecord, Manifest, Stratum
from pocketvae.data.array_files import read_npy
from pocketvae.documents import decode
from pocketvae.errors import ManifestError
from pocketvae.numerics.likelihoods import Observed
from pocketvae.spec import Component, TensorSpec
from pocketvae.system.files import StrPath, check_output, sha256_file
from pocketvae.system.written import check_untouched
from pocketvae.vae_spec import DataKind

Array = npt.NDArray[np.generic]
# Among what is known of a scorer's goldens: which are anomalies.
ANOMALOUS = "anomalous"
# What can be made again of a bundle, and what systems leave in folders.
_MADE_LATER = ("reports", ".DS_Store")


@dataclass(frozen=True, kw_only=True)
class Goldens:
    """Golden samples of one component.

    Attributes:
        inputs: Inputs `[N, ...] float32` by name.
        outputs: The original model's outputs `[N, ...] float32` by name.
        strata: Kinds of samples, in order.
        steps: Step between the kept values of the flattened output by name, `[N, K]`; outputs that are not named are
            complete and keep their shape.
        observed: The images that the first samples were drawn for, if there are any.
        anomalous: `[N]`, which samples of a scorer are anomalies; None of other components.
    """

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    strata: tuple[Stratum, ...]
    steps: Mapping[str, int] = field(default_factory=dict)
    observed: Observed | None = None
    anomalous: npt.NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        """N, the number of samples."""
        return len(next(iter(self.inputs.values())))

    @property
    def prior(self) -> Stratum:
        """Those drawn from the prior, or a generator's pairs in sequence; the first ones where there are none."""
        return next((item for item in self.strata if item.name in ("prior", "sequence")), self.strata[0])

    @property
    def is_whole(self) -> bool:
        """Whether every value of the outputs was kept."""
        return all(step == 1 for step in self.steps.values())

    def random_order(self, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Returns an order of the samples `[N]` in which those of observed images still come first."""
        first = 0 if self.observed is None else len(self.observed.x)
        return np.concatenate([rng.permutation(first), first + rng.permutation(self.count - first)])

    def reordered(self, order: npt.NDArray[np.intp]) -> Goldens:
        """Returns the same samples in an order from `random_order`."""
        observed = self.observed
        return replace(
            self,
            inputs={name: values[order] for name, values in self.inputs.items()},
            outputs={name: values[order] for name, values in self.outputs.items()},
            observed=observed.reordered(order[: len(observed.x)]) if observed else None,
            anomalous=None if self.anomalous is None else self.anomalous[order],
        )

    def inputs_of(self, artifact: ArtifactRecord) -> dict[str, Array]:
        """Returns the inputs that an artifact takes: a scorer has its window in the unit of one precision or another.

        Raises:
            ManifestError: one is missing.
        """
        names = [spec.name for spec in artifact.inputs]
        missing = [name for name in names if name not in self.inputs]
        if missing:
            raise ManifestError(f"the goldens of {artifact.name} must have {names}, got {sorted(self.inputs)}")
        return {name: self.inputs[name] for name in names}

    def select(self, outputs: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
        """Returns those values of complete outputs `[N, ...]` that the goldens also contain."""
        return {name: thin(values, self.steps.get(name, 1)) for name, values in outputs.items()}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An export bundle on disk whose recorded files have all been checked.

    Attributes:
        path: Its folder.
        manifest: Its table of contents.
        damaged: Path of a recorded file to what is wrong with it; empty but for `open_with_damage`.
    """

    path: Path
    manifest: Manifest
    damaged: Mapping[str, str] = field(default_factory=dict)

    def intact(self) -> Bundle:
        """Returns the bundle as if it had been exported without its damaged files, and without what needs them."""
        if not self.damaged:
            return self
        manifest, damaged = self.manifest, self.damaged
        goldens = [item for item in manifest.goldens if not any(file.path in damaged for file in item.files())]
        unchecked = {item.component for item in manifest.goldens} - {item.component for item in goldens}
        artifacts = [
            item for item in manifest.artifacts if item.file.path not in damaged and item.component not in unchecked
        ]
        original = {name: file for name, file in manifest.original.items() if file.path not in damaged}
        documents = tuple(file for file in manifest.documents if file.path not in damaged)
        rest = replace(
            manifest,
            artifacts=tuple(artifacts),
            goldens=tuple(goldens),
            original=original,
            documents=documents,
            compiled=tuple(item for item in manifest.compiled if item.file.path not in damaged),
        )
        return Bundle(path=self.path, manifest=rest)

    def artifact_path(self, artifact: ArtifactRecord) -> Path:
        """Returns the path of the artifact's file."""
        return self.path / artifact.file.path

    def goldens(self, component: Component) -> Goldens:
        """Loads the golden samples of one component.

        Raises:
            ManifestError: there are none, a file is not a plain array, or counts differ.
        """
        record = self.manifest.golden(component)
        inputs = {name: _load_array(self.path / file.path) for name, file in record.inputs.items()}
        outputs = {name: _load_array(self.path / file.path) for name, file in record.outputs.items()}
        for spec in self.manifest.vae.inputs(component):
            _check_golden(component, spec, inputs.get(spec.name))
        for name, array in outputs.items():
            if array.ndim < 1:
                raise ManifestError(f"golden {name!r} of the {component} must hold one value per sample, got one value")
        counts = {len(array) for array in (*inputs.values(), *outputs.values())}
        if len(counts) != 1 or counts != {sum(stratum.count for stratum in record.strata)}:
            raise ManifestError(
                f"the {component}'s goldens must all have as many samples as their strata, got {counts}"
            )
        for name, array in (*inputs.items(), *outputs.items()):
            if not np.isfinite(array).all():
                raise ManifestError(f"golden {name!r} of the {component} holds values that are not finite")
        observed = self._observed(record, len(next(iter(inputs.values()))))
        return Goldens(
            inputs=inputs,
            outputs=outputs,
            strata=record.strata,
            observed=observed,
            anomalous=self._anomalous(record, len(next(iter(inputs.values())))),
        )

    def _anomalous(self, record: GoldenRecord, count: int) -> npt.NDArray[np.bool_] | None:
        if ANOMALOUS not in record.observed:
            return None
        found = _load_array(self.path / record.observed[ANOMALOUS].path)
        if found.shape != (count,) or found.dtype != np.bool_:
            raise ManifestError(
                f"which goldens are anomalies must be bool of ({count},), got {found.dtype} {found.shape}"
            )
        return found.astype(np.bool_)

    def _observed(self, record: GoldenRecord, count: int) -> Observed | None:
        arrays = {
            name: _load_array(self.path / file.path) for name, file in record.observed.items() if name != ANOMALOUS
        }
        if not arrays:
            return None
        vae = self.manifest.vae
        shapes = {array.shape for array in arrays.values()}
        if "x" not in arrays or len(shapes) != 1 or not 0 < len(arrays["x"]) <= count:
            raise ManifestError(f"observed items must be 1 to {count}, with an 'x', all of one shape, got {shapes}")
        dtype = np.dtype(np.uint8 if vae.data is DataKind.IMAGE else np.float32)
        if arrays["x"].shape[1:] != vae.data_shape or arrays["x"].dtype != dtype:
            raise ManifestError(
                f"observed {vae.data}s must be {dtype} of {vae.data_shape}, got {arrays['x'].dtype} of "
                f"{arrays['x'].shape[1:]}"
            )
        return Observed.of(vae, arrays["x"], arrays.get("log_scale"))


def thin(values: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    """Returns every `step`-th value of each sample, `[N, ...]` to `[N, K]`; step 1 keeps all and their shape."""
    return values if step == 1 else values.reshape(len(values), -1)[:, ::step]


def open_bundle(path: StrPath) -> Bundle:
    """Opens a bundle and checks every recorded file against its hash.

    Args:
        path: The bundle's folder.

    Raises:
        ManifestError: the folder is not a bundle, the manifest is damaged or newer, or a file is missing or changed.
    """
    bundle = open_with_damage(path)
    for problem in bundle.damaged.values():
        raise ManifestError(problem)
    return bundle


def open_with_damage(path: StrPath) -> Bundle:
    """Opens a bundle as `open_bundle` does, but keeps what is wrong with its files, for verify to report.

    Args:
        path: The bundle's folder.

    Raises:
        ManifestError: the folder is not a bundle, the manifest is damaged or newer, or a file is outside the folder.
    """
    path = located(path)
    manifest_path = path / MANIFEST_NAME
    if not manifest_path.is_file():
        hides = "; it hides the bundle of that name inside the package" if path == Path(DEMO) else ""
        raise ManifestError(
            f"{path} is not a bundle: {MANIFEST_NAME} is missing; create one with pocketvae export{hides}"
        )
    manifest = decode(Manifest, manifest_path.read_bytes(), str(manifest_path))
    problems = {record.path: _problem(path, record) for record in manifest.files()}
    return Bundle(path=path, manifest=manifest, damaged={name: words for name, words in problems.items() if words})


def check_bundle_output(path: Path, *, force: bool) -> None:
    """Checks that a bundle can be made at a path, and that `force` would delete nothing but a bundle.

    Raises:
        DataError: the folder around it does not exist.
        OutputExistsError: it exists and `force` is off, or see `check_holds_only_bundle`.
    """
    check_output(path, force=force)
    check_holds_only_bundle(path)


def check_holds_only_bundle(path: Path) -> None:
    """Checks that a bundle, if there is one, holds no other files, which replacing it would delete.

    The codec's tables are in no manifest, and without them no compressed file can be read.

    Raises:
        OutputExistsError: it holds files that export did not write.
    """
    try:
        manifest = decode(Manifest, (path / MANIFEST_NAME).read_bytes(), str(path))
    except (OSError, ManifestError):
        # What a damaged bundle was made of cannot be told, and it is there to be replaced.
        return
    recorded = dict.fromkeys((MANIFEST_NAME, *(record.path for record in manifest.files())), "")
    check_untouched(path, recorded, _MADE_LATER, "move what you need")


def opened(bundle: StrPath | Bundle) -> Bundle:
    """Returns a bundle that is open as it is and opens one that is a path, so that a command hashes its files once.

    Raises:
        ManifestError: see `open_bundle`.
    """
    return bundle if isinstance(bundle, Bundle) else open_bundle(bundle)


def opened_with_damage(bundle: StrPath | Bundle) -> Bundle:
    """Returns a bundle that is open as it is and opens one that is a path with what is wrong with it.

    Raises:
        ManifestError: see `open_with_damage`.
    """
    return bundle if isinstance(bundle, Bundle) else open_with_damage(bundle)


def _problem(folder: Path, record: FileRecord) -> str:
    """Returns what is wrong with a recorded file; empty if nothing is.

    Raises:
        ManifestError: it lies outside the folder, where a bundle has no business.
    """
    file = folder / record.path
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ManifestError(f"{file} leads outside the bundle")
    if not file.is_file():
        return f"{file} is missing: export the bundle again, or copy all of it"
    size = file.stat().st_size
    if size != record.size_bytes:
        return f"{file} was changed: the manifest says {record.size_bytes} bytes, found {size}"
    if sha256_file(file) != record.sha256:
        return f"{file} was changed: its SHA-256 differs from the one in the manifest"
    return ""


def _check_golden(component: Component, spec: TensorSpec, array: Array | None) -> None:
    expected, found = (None, *spec.shape[1:]), () if array is None else (None, *array.shape[1:])[: array.ndim]
    if array is None or found != expected or array.dtype != spec.dtype:
        shown = "none" if array is None else f"{array.dtype} {array.shape}"
        raise ManifestError(
            f"golden {spec.name!r} of the {component} must be {spec.dtype} of {spec.shape[1:]} per sample, got {shown}"
        )


def _load_array(path: Path) -> Array:
    try:
        return read_npy(path)
    except (ValueError, OSError) as e:
        raise ManifestError(f"{path} is not a .npy array: {e}") from e
