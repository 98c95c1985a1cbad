"""The search for students that are fast or small enough, before any is trained: latency depends on shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pocketvae.distil.config import SEARCH_MARGIN, Targets
from pocketvae.distil.record import Candidate
from pocketvae.distil.students import Student
from pocketvae.errors import SpecError
from pocketvae.progress import Progress, ProgressCallback

Measure = Callable[[Student], Candidate]


@dataclass
class Search:
    """Looks in each family for the widest student that meets the targets.

    Attributes:
        measure: Builds, converts and times an untrained student.
        targets: What it has to reach.
        progress: Called after every measurement.
        tried: All that were measured.
    """

    measure: Measure
    targets: Targets
    progress: ProgressCallback
    tried: list[Candidate] = field(default_factory=list)

    def run(self, groups: Iterable[Sequence[Sequence[Student]]], finalists: int) -> tuple[Candidate, ...]:
        """Returns the largest students among those that meet the targets, at most one of a family.

        Args:
            groups: Families, each from the narrowest to the widest student; in a group the next one has more channels,
                and is not looked at if the narrowest of the one before is too slow.
            finalists: How many are returned at most.

        Raises:
            SpecError: none meets the targets; the message has the closest one's figures.
        """
        known = list(groups)
        widest = []
        for number, group in enumerate(known):
            self._tell(number, len(known))
            for family in group:
                found = self._widest(family)
                if found is None:
                    break
                widest.append(found)
        self._tell(len(known), len(known))
        if not widest:
            closest = min(self.tried, key=lambda candidate: candidate.excess)
            raise SpecError(
                f"no student reaches {self.targets.text()} with {SEARCH_MARGIN - 1:.0%} to spare: the closest of "
                f"{len(self.tried)}, {closest.text()} "
                f"(the teacher: {closest.teacher_us:.1f} µs)"
            )
        widest.sort(key=lambda candidate: candidate.capacity, reverse=True)
        return _different(widest, finalists)

    def _widest(self, family: Sequence[Student]) -> Candidate | None:
        """Returns the widest student that meets the targets, by bisection; None if the narrowest does not."""
        best = self._try(family[0])
        if best is None:
            return None
        low, high = 0, len(family)
        while high - low > 1:
            middle = (low + high) // 2
            found = self._try(family[middle])
            if found is None:
                high = middle
            else:
                low, best = middle, found
        return best

    def _try(self, student: Student) -> Candidate | None:
        candidate = self.measure(student)
        self.tried.append(candidate)
        return candidate if candidate.excess * SEARCH_MARGIN <= 1 else None

    def _tell(self, done: int, total: int) -> None:
        last = self.tried[-1].text() if self.tried else "untrained students by turns with the teacher"
        self.progress(Progress(stage="measuring students", done=done, total=total, detail=last))


def _different(widest: Sequence[Candidate], count: int) -> tuple[Candidate, ...]:
    """Returns the first ones and the best of each kind: what dense layers have says little of others.

    Args:
        widest: By capacity, the largest first.
        count: How many at most.
    """
    # The last of each kind that goes into the dictionary is its largest.
    best = {item.student.family: number for number, item in reversed(list(enumerate(widest)))}
    order = sorted(range(len(widest)), key=lambda number: number not in best.values())
    return tuple(widest[number] for number in sorted(order[:count]))
