"""The choice of rewrites for one artifact: each is proven equal, then kept if it is measured to be faster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.manifest import RewriteRecord
from pocketvae.errors import ExportError, PocketVaeError
from pocketvae.export.budgets import tolerances
from pocketvae.export.precisions.base import Made, PrecisionExport
from pocketvae.export.precisions.registry import export_of
from pocketvae.export.quantize.recipe import Recipe, recipe_name
from pocketvae.export.quantize.source import Source
from pocketvae.export.rewrites import paired_timing
from pocketvae.export.rewrites.names import FORMS, Form, Rewrite, Step
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import ArtifactSpec, Format, ImageDtype, Precision

Inputs = Mapping[str, npt.NDArray[Any]]
Steps = tuple[Step, ...]

# A rewrite may gain only once another is kept, so what was dropped is tried once more.
_PASSES = 2
_BY_NAME = "requested by name"
_LAYERS_IN_FLOAT = "not faster when the search keeps layers in float"
_OVER_BUDGET = "the stock form meets the budget, this one does not"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The rewrites of an artifact.

    Attributes:
        steps: The steps that were kept.
        records: Records of all that were tried.
        speedup: Speed-up of all together over the stock conversion; None if nothing was kept.
    """

    steps: Steps = ()
    records: tuple[RewriteRecord, ...] = ()
    speedup: float | None = None

    @property
    def is_measured(self) -> bool:
        """Whether something was kept, and all of it because it is faster."""
        return bool(self.steps) and all(record.reason != _BY_NAME for record in self.records if record.kept)

    def note(self) -> str:
        """Returns the decision as text; empty if nothing was rewritten."""
        kept = [record for record in self.records if record.kept]
        places = ", ".join(f"{_title(record)} in {_count(record.places)}" for record in kept)
        gain = f": {self.speedup:.2f} times the stock form's speed" if self.speedup is not None else ""
        return f"rewritten: {places}{gain}" if kept else ""


def decide(spec: ArtifactSpec, source: Source) -> Decision:
    """Returns the rewrites for an artifact of a component, found once for all artifacts that run alike."""
    recipe = source.recipes.get(recipe_name(spec))
    if recipe is not None:
        return _follow(recipe, source)
    timed, key = _timed_as(spec)
    if key not in source.cache:
        source.cache[key] = _Contest(timed, source).decide()
    decision: Decision = source.cache[key]
    return decision


def settle(spec: ArtifactSpec, source: Source, decision: Decision, *, rewritten: Made, stock: Made) -> Decision:
    """Returns the decision after both forms were quantized in full; it also holds for what runs like the artifact.

    Args:
        spec: The artifact.
        source: Of the component.
        decision: By plain quantizations.
        rewritten: What the search found for the rewritten graph.
        stock: What it found for the stock graph.
    """
    compared = _time_in_pairs(spec.format, source, stock.content, rewritten.content)
    holds = _meets_budget(rewritten) or not _meets_budget(stock)
    if compared.is_worthwhile and holds:
        settled = replace(decision, speedup=compared.speedup)
    else:
        reason = _LAYERS_IN_FLOAT if holds else _OVER_BUDGET
        records = tuple(replace(item, kept=False, reason=reason) if item.kept else item for item in decision.records)
        settled = Decision(records=records)
    source.cache[_timed_as(spec)[1]] = settled
    return settled


def _meets_budget(made: Made) -> bool:
    return made.searched is not None and made.searched.record.chosen.error_ratio <= 1


def _timed_as(spec: ArtifactSpec) -> tuple[ArtifactSpec, str]:
    """Returns the artifact whose decision holds for this one, and the decision's key."""
    precision = export_of(spec.precision).timed_as or spec.precision
    timed = replace(spec, precision=precision, image_dtype=ImageDtype.FLOAT32)
    return timed, f"rewrites of {timed.filename}"


def _time_in_pairs(format: Format, source: Source, baseline: bytes, candidate: bytes) -> paired_timing.Comparison:
    feed = {name: values[:1] for name, values in source.golden_inputs.items()}
    with open_runner(baseline, format) as first, open_runner(candidate, format) as second:
        return paired_timing.compare(lambda: first.run_real(feed), lambda: second.run_real(feed))


def _follow(recipe: Recipe, source: Source) -> Decision:
    """Returns the rewrites of a recipe; one that finds nothing to rewrite shows as other layers."""
    places = replace(source, steps=recipe.rewrites).rewritten().places
    records = tuple(
        RewriteRecord(name=step.rewrite, form=step.form, places=count, kept=True, reason="as in the recipe")
        for step, count in zip(recipe.rewrites, places, strict=True)
    )
    return Decision(steps=recipe.rewrites, records=records)


@dataclass
class _Contest:
    spec: ArtifactSpec
    source: Source
    records: dict[Step, RewriteRecord] = field(default_factory=dict)
    compared: dict[tuple[Steps, Steps], paired_timing.Comparison] = field(default_factory=dict)

    def decide(self) -> Decision:
        found = self._found()
        kept: Steps = ()
        judged: set[tuple[Steps, Step]] = set()
        for number in range(_PASSES):
            for step in found:
                is_again = number > 0 and self._takes_seconds
                if step not in kept and (kept, step) not in judged and not is_again:
                    judged.add((kept, step))
                    before, kept = kept, self._judge(step, found[step], kept)
                    self._forget_all_but(before, step, kept)
        for step, record in self.records.items():
            if record.kept and step not in kept:
                self.records[step] = replace(record, kept=False, reason="another form is faster")
        speedup = self._compare((), kept).speedup if kept else None
        return Decision(steps=kept, records=tuple(self.records.values()), speedup=speedup)

    @property
    def _takes_seconds(self) -> bool:
        """Whether calls take so long that a rewrite which was dropped is not worth another look."""
        return any((record.before_latency_s or 0) > paired_timing.LONG_S for record in self.records.values())

    def _found(self) -> dict[Step, int]:
        """Returns the steps that find something to rewrite, with the number of places."""
        found = {}
        for rewrite in self.source.rewrites.considered:
            if rewrite is Rewrite.NARROW_CONVOLUTION and not self._rules.has_depth_to_space:
                continue
            if rewrite is Rewrite.GROUP_NORMALIZATION and not self._rules.has_float_means:
                continue
            for form in FORMS[rewrite]:
                step = Step(rewrite=rewrite, form=form)
                trial = replace(self.source, steps=(step,))
                (count,) = trial.rewritten(fuse=self._rules.has_depth_to_space).places
                if count:
                    found[step] = count
                trial.forget()
        return found

    def _judge(self, step: Step, places: int, kept: Steps) -> Steps:
        """Records one step beside those that are kept, and returns what is kept now."""
        others = tuple(other for other in kept if other.rewrite is not step.rewrite)
        trial = (*others, step)
        record = RewriteRecord(name=step.rewrite, form=step.form, places=places, kept=False, reason="")
        try:
            difference, problem = self._difference(trial)
            record = replace(record, max_difference=difference, reason=problem)
            if problem:
                self.records[step] = record
                return kept
            compared = self._compare(kept, trial)
        except PocketVaeError as e:
            self.records[step] = replace(record, reason=f"conversion failed: {e}")
            return kept
        by_name = step.rewrite in self.source.rewrites.wanted and len(others) == len(kept)
        is_kept = by_name or compared.is_worthwhile
        self.records[step] = replace(
            record,
            kept=is_kept,
            reason=_BY_NAME if by_name else _reason(compared),
            before_latency_s=compared.baseline_s,
            after_latency_s=compared.candidate_s,
            speedup=compared.speedup,
            speedup_at_least=compared.speedup_at_least,
        )
        return trial if is_kept else kept

    def _forget_all_but(self, before: Steps, step: Step, kept: Steps) -> None:
        trial = (*(other for other in before if other.rewrite is not step.rewrite), step)
        for steps in {before, trial} - {kept}:
            replace(self.source, steps=steps).forget()

    def _difference(self, steps: Steps) -> tuple[float | None, str]:
        """Returns how far the rewritten float graph is from the stock one, and why that is too far, if it is.

        Precisions with the same float graph share it.
        """
        key = f"difference {self.spec.format} {self._rules.has_depth_to_space} {steps}"
        if key not in self.source.cache:
            self.source.cache[key] = self._measured_difference(steps)
        difference: tuple[float | None, str] = self.source.cache[key]
        return difference

    def _measured_difference(self, steps: Steps) -> tuple[float | None, str]:
        outputs, expected = self._outputs(steps), self._expected
        spec = replace(self.spec, precision=Precision.FLOAT32)
        floor, span = self.source.floor, self.source.vae.range_span
        if floor is None:
            raise ExportError("a rewrite can only be compared if the original's noise floor is known")
        largest = 0.0
        for limit in tolerances(spec, floor, span):
            value = float(np.max(np.abs(outputs[limit.output] - expected[limit.output])))
            largest = max(largest, value)
            if not value <= limit.limit:  # a NaN is no pass
                shown = value if np.isfinite(value) else None
                return (
                    shown,
                    f"not equal: {limit.output} differs by {value:.2g}, above the rounding limit of {limit.limit:.2g}",
                )
        return largest, ""

    @cached_property
    def _expected(self) -> dict[str, npt.NDArray[np.float32]]:
        return self._outputs(())

    def _outputs(self, steps: Steps) -> dict[str, npt.NDArray[np.float32]]:
        content = self._content(steps, as_float=True)
        with open_runner(content, self.spec.format) as runner:
            return runner.run_samples(self.source.with_few_goldens().golden_inputs)

    def _compare(self, baseline: Steps, candidate: Steps) -> paired_timing.Comparison:
        if (baseline, candidate) not in self.compared:
            contents = self._content(baseline), self._content(candidate)
            self.compared[baseline, candidate] = _time_in_pairs(self.spec.format, self.source, *contents)
        return self.compared[baseline, candidate]

    def _content(self, steps: Steps, *, as_float: bool = False) -> bytes:
        source = replace(self.source, steps=steps)
        if as_float:
            return source.float32(self.spec.format, fuse=self._rules.has_depth_to_space)
        return source.once(f"plain {self.spec.filename}", lambda: self._rules.make_plain(self.spec.format, source))

    @property
    def _rules(self) -> PrecisionExport:
        return export_of(self.spec.precision)


def _reason(compared: paired_timing.Comparison) -> str:
    if compared.is_worthwhile:
        return "measured to be faster"
    if compared.speedup < 1:
        return "measured to be slower"
    return f"not proven to be {paired_timing.WORTHWHILE_SPEEDUP - 1:.0%} faster"


def _title(record: RewriteRecord) -> str:
    return record.name if record.form == Form.ONLY else f"{record.name} by {record.form}"


def _count(places: int) -> str:
    return f"{places} place{'s' if places > 1 else ''}"
