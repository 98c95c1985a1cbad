"""Writing of a bundle: the artifacts, goldens and originals of a finished export, and the documents about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.chips import ChipRecord
from pocketvae.bundle.manifest import (
    MANIFEST_NAME,
    ArtifactRecord,
    CalibrationRecord,
    CompiledRecord,
    FailureRecord,
    FileRecord,
    GoldenRecord,
    Manifest,
)
from pocketvae.bundle.quantization import SearchRecord
from pocketvae.documents import encode
from pocketvae.errors import NothingMadeError
from pocketvae.export.config import ExportConfig
from pocketvae.export.external.aggregate import LOST, aggregate_of, lost_by
from pocketvae.export.guide import embed_guide
from pocketvae.export.guide.card import model_card
from pocketvae.export.messages import Converted, Prepared
from pocketvae.export.original.samples import POSTERIOR_STRATUM
from pocketvae.export.prepared_files import array_path
from pocketvae.export.subject import Subject
from pocketvae.keras.files import model_kind
from pocketvae.keras.model_form import Flavour
from pocketvae.numerics.latents import joined_latents
from pocketvae.spec import ArtifactSpec, Component
from pocketvae.system import files
from pocketvae.vae_spec import Likelihood, PriorKind
from pocketvae.versions import installed_versions


@dataclass(frozen=True, kw_only=True)
class NotMade:
    """Why there is no artifact.

    Attributes:
        reason: Why, as text.
        is_ruled_out: Whether the format, its runtime or the error budget rules it out for this model.
    """

    reason: str
    is_ruled_out: bool = False


Outcome = Converted | NotMade


def _failures(missing: Mapping[ArtifactSpec, NotMade], *, ruled_out: bool) -> tuple[FailureRecord, ...]:
    return tuple(
        FailureRecord(artifact=spec.filename, reason=item.reason)
        for spec, item in missing.items()
        if item.is_ruled_out is ruled_out
    )


@dataclass(frozen=True, kw_only=True)
class ChipWork:
    """What is done with a finished bundle, given its path, for the chips that it is for; the benchmarks can do it.

    Attributes:
        prove: Tries it on each: `try_on_chips`.
        compile: Compiles what is left of it ahead of time, and says of what this failed: `compile_for_apps`.
    """

    prove: Callable[[Path], tuple[ChipRecord, ...]] | None = None
    compile: Callable[[Path], tuple[tuple[CompiledRecord, ...], tuple[str, ...]]] | None = None


NO_CHIP_WORK = ChipWork()


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A finished export.

    Attributes:
        manifest: Manifest of the bundle.
        over_budget: Largest ratio of an error to its limit by artifact, for those above 1.
        doubts: Assumptions about a user-supplied model that may be wrong, as sentences.
        resumed: What came from an unfinished export, and what did not; empty if there was none.
    """

    manifest: Manifest
    over_budget: dict[str, float]
    doubts: tuple[str, ...] = ()
    resumed: str = ""


@dataclass(frozen=True, kw_only=True)
class BundleWriter:
    """Fills a bundle's folder from a working folder.

    Attributes:
        subject: What was exported.
        bundle: The folder to fill.
        work: Holds the artifacts and the arrays of the preparation.
        config: What was asked for.
        prepared: What is known of the components.
    """

    subject: Subject
    bundle: Path
    work: Path
    config: ExportConfig
    prepared: Mapping[Component, Prepared]
    _recipes: dict[str, FileRecord] = field(default_factory=dict)

    def write(self, outcomes: Mapping[ArtifactSpec, Outcome]) -> ExportResult:
        """Writes the bundle.

        Args:
            outcomes: All artifacts that were asked for.

        Raises:
            NothingMadeError: none of them could be made.
        """
        made: dict[ArtifactSpec, Converted] = {}
        missing: dict[ArtifactSpec, NotMade] = {}
        for spec in self.config.artifacts:
            outcome = outcomes[spec]
            if isinstance(outcome, Converted):
                made[spec] = outcome
            else:
                missing[spec] = outcome
        records = tuple(self._artifact(converted) for converted in made.values())
        if not records:
            first, *rest = (f"{spec.filename}: {item.reason}" for spec, item in missing.items())
            raise NothingMadeError(f"no artifact could be made; {first}", tuple(rest))
        subject = self.subject
        manifest = Manifest(
            name=subject.name,
            vae=subject.vae,
            artifacts=records,
            failures=_failures(missing, ruled_out=False),
            left_out=_failures(missing, ruled_out=True),
            goldens=tuple(self._golden(component) for component in self.config.components),
            calibration=self._calibration(),
            original={component: self._original(component) for component in self._with_original()},
            forms={component: form for component, form in subject.forms.items() if component in self.config.components},
            training=subject.training,
            config=subject.config,
            provenance=subject.provenance,
            licence=self.config.licence,
            author=self.config.author,
            versions=installed_versions(),
        )
        over = {spec.filename: item.error_ratio for spec, item in made.items() if item.error_ratio > 1}
        manifest = self._documented(manifest, over)
        doubts = (*self._couplings(), *self._far_posterior(), *self._poor_pair())
        return ExportResult(manifest=manifest, over_budget=over, doubts=doubts)

    def work_for_chips(self, result: ExportResult, work: ChipWork) -> ExportResult:
        """Does what is to be done for chips and returns the result with it.

        Raises:
            NothingMadeError: see `settle`.
        """
        if work.prove is not None:
            result = self.settle(result, work.prove(self.bundle))
        if work.compile is not None:
            compiled, problems = work.compile(self.bundle)
            manifest = self._documented(replace(result.manifest, compiled=compiled), result.over_budget)
            result = replace(result, manifest=manifest, doubts=(*result.doubts, *problems))
        return result

    def settle(self, result: ExportResult, chips: tuple[ChipRecord, ...]) -> ExportResult:
        """Records what was tried on chips, and takes out of the bundle what serves none if that is asked for.

        Args:
            result: Of `write`.
            chips: What was tried on each.

        Raises:
            NothingMadeError: no artifact serves any.
        """
        manifest, serving = result.manifest, {name for chip in chips for name in chip.artifacts}
        kept = tuple(item for item in manifest.artifacts if item.name in serving or not self.config.only_serving)
        if not kept:
            first, *rest = (f"{chip.name}: {item.artifact}: {item.reason}" for chip in chips for item in chip.trials)
            raise NothingMadeError(f"no artifact serves a chip; {first}", tuple(rest))
        recipes = {item.search.recipe for item in kept if item.search}
        gone = [item.file.path for item in manifest.artifacts if item not in kept]
        for path in (*gone, *(set(self._recipes) - recipes)):
            self._recipes.pop(path, None)
            (self.bundle / path).unlink()
        over = {name: ratio for name, ratio in result.over_budget.items() if name not in gone}
        manifest = self._documented(replace(manifest, artifacts=kept, chips=chips), over)
        return replace(result, manifest=manifest, over_budget=over)

    def _documented(self, manifest: Manifest, over: Mapping[str, float]) -> Manifest:
        """Writes the documents about a bundle and its manifest, which it returns."""
        card = self._write("MODEL_CARD.md", model_card(manifest).encode())
        guide = self._write("EMBED.md", embed_guide(manifest, over).encode())
        manifest = replace(manifest, documents=(card, guide, *self._recipes.values()))
        files.write_text(self.bundle / MANIFEST_NAME, encode(manifest))
        return manifest

    def _couplings(self) -> Iterator[str]:
        for component, prepared in self.prepared.items():
            if prepared.coupling:
                yield (
                    f"the {component}'s outputs depend on what else is in the batch, from {prepared.coupling} on: its "
                    f"files are held to what the original returns for one sample at a time"
                )

    def _far_posterior(self) -> Iterator[str]:
        """Says of a user-supplied encoder whose latents are not distributed as N(0, I), which its decoder is given."""
        decoder, vae = self.prepared.get(Component.DECODER), self.subject.vae
        if not decoder or not self.subject.forms or vae.prior is not PriorKind.STANDARD:
            return
        for kind in decoder.calibration_strata:
            if kind.name == POSTERIOR_STRATUM:
                # Nothing is said of codes, which other models draw.
                latents = joined_latents(self._latents("calibration"), replace(vae, latents=vae.continuous))
                found = aggregate_of(latents[kind.start : kind.start + kind.count])
                advice = ": --fit-prior gmm fits a prior to them" if len(vae.latents) == 1 else ""
                if found.is_far:
                    yield (
                        f"the latents of the data are far from N(0, I), which generators draw from ({found.text})"
                        f"{advice}"
                    )

    def _poor_pair(self) -> Iterator[str]:
        """Says of a user-supplied pair whose reconstructions of the data are no nearer to them than their mean is."""
        decoder, vae = self.prepared.get(Component.DECODER), self.subject.vae
        if not decoder or not self.subject.forms or Component.ENCODER not in self.prepared:
            return
        # Of sounds, and under another likelihood, encoder and decoder have golden items of their own.
        if vae.log_mel or vae.likelihood is not Likelihood.UNKNOWN:
            return
        for kind in decoder.golden_strata:
            if kind.name == POSTERIOR_STRATUM and kind.count:
                decoded = np.load(array_path(self.work, Component.DECODER, "output", vae.output))[kind.start :]
                items = np.load(array_path(self.work, Component.ENCODER, "input", "x"))[: kind.count]
                usual = np.load(array_path(self.work, Component.ENCODER, "calibration", "x")).mean(axis=0)
                lost = lost_by(items, decoded[: len(items)], usual)
                if not lost <= LOST:
                    yield (
                        f"what encoder and decoder together make of the data, by latents drawn from posteriors, is "
                        f"{lost:.3g} times as far from them (squared error) as their mean is: black and white, the "
                        f"order of axes or what the encoder returns may not be as was assumed, or the models do not "
                        f"belong together"
                    )

    def _latents(self, role: str) -> dict[str, npt.NDArray[Any]]:
        """Returns the decoder's latents of a role by name."""
        names = [latent.name for latent in self.subject.vae.latents]
        return {name: np.load(array_path(self.work, Component.DECODER, role, name)) for name in names}

    def _artifact(self, converted: Converted) -> ArtifactRecord:
        name = converted.record.name
        file = self._write(name, (self.work / name).read_bytes())
        return replace(converted.record, file=file, search=self._search(converted))

    def _search(self, converted: Converted) -> SearchRecord | None:
        search = converted.record.search
        if search is None or converted.recipe is None:
            return search
        path = f"recipes/{converted.recipe.artifact}.json"
        if path not in self._recipes:  # Files that only differ in how they store images share one.
            (self.bundle / "recipes").mkdir(exist_ok=True)
            self._recipes[path] = self._write(path, encode(converted.recipe).encode())
        return replace(search, recipe=path)

    def _golden(self, component: Component) -> GoldenRecord:
        (self.bundle / "golden").mkdir(exist_ok=True)
        vae = self.subject.vae
        return GoldenRecord(
            component=component,
            inputs={name: self._copy_array(component, "input", name) for name in self._golden_names(component)},
            outputs={name: self._copy_array(component, "output", name) for name in vae.output_names(component)},
            strata=self.prepared[component].golden_strata,
            observed={
                name: self._copy_array(component, "observed", name)
                for name in ("x", "log_scale", "anomalous")
                if array_path(self.work, component, "observed", name).is_file()
            },
        )

    def _golden_names(self, component: Component) -> list[str]:
        """Returns the names of golden inputs; those of a scorer may be there in two units, but not samples of sound."""
        names = [spec.name for spec in self.subject.vae.inputs(component)]
        if self.subject.vae.log_mel is not None:
            return names
        return [*names, "x"] if component is Component.SCORER and "x" not in names else names

    def _copy_array(self, component: Component, role: str, name: str) -> FileRecord:
        content = array_path(self.work, component, role, name).read_bytes()
        return self._write(f"golden/{component}.{role}.{name}.npy", content)

    def _original(self, component: Component) -> FileRecord:
        (self.bundle / "original").mkdir(exist_ok=True)
        model = self.subject.models[component]
        return self._write(f"original/{component}{model_kind(model).value}", model.read_bytes())

    def _with_original(self) -> list[Component]:
        # A SavedModel is a folder, which the manifest names in its provenance but the bundle does not contain.
        forms = self.subject.forms
        folders = {component for component, form in forms.items() if form.flavour is Flavour.SAVED_MODEL}
        return [item for item in self.config.components if not item.is_composed and item not in folders]

    def _calibration(self) -> CalibrationRecord:
        digest = hashlib.sha256()
        for component in (component for component in self.prepared if not component.is_composed):
            for spec in self.subject.vae.inputs(component):
                digest.update(np.load(array_path(self.work, component, "calibration", spec.name)).tobytes())
        decoder = self.prepared.get(Component.DECODER)
        return CalibrationRecord(
            seed=self.config.seed,
            latents=decoder.calibration_strata if decoder else (),
            image_count=self.subject.calibration_images,
            sha256=digest.hexdigest(),
            seed_count=self.config.calibration_seeds,
            coverage=self._coverage() if decoder else {},
        )

    def _coverage(self) -> dict[str, float]:
        calibration, goldens = self._latents("calibration"), self._latents("input")
        inside = joined_latents(
            {name: (z >= calibration[name].min()) & (z <= calibration[name].max()) for name, z in goldens.items()},
            self.subject.vae,
        )
        return {
            kind.name: float(inside[kind.start : kind.start + kind.count].mean())
            for kind in self.prepared[Component.DECODER].golden_strata
        }

    def _write(self, relative: str, content: bytes) -> FileRecord:
        files.write_bytes(self.bundle / relative, content)
        return FileRecord.of(relative, content)
