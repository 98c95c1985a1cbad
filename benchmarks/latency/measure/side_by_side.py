"""Comparison of two bundles side by side: every artifact of both, launched many times.

Two processes that run the same file differ by several percent for their whole lifetime, depending on where their
memory happens to lie. So the unit of the statistics is the launch: a new process for each bundle, in which each
artifact is opened, and one ratio of medians. Within a launch the two take turns in the order A B B A or B A A B, so
that changes in the machine's speed affect both alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from pocketvae.benchmarks.latency.analyse.verdicts import LOOKS, judge_pairs, launches_needed
from pocketvae.benchmarks.latency.measure.worker_client import BenchClient, start_worker
from pocketvae.benchmarks.latency.messages import HandleLostError, Load, Loaded, Measure
from pocketvae.benchmarks.latency.results import ArtifactComparison, Verdict
from pocketvae.errors import PocketVaeError
from pocketvae.progress import Progress, ProgressCallback

# Launches at each look, in addition to the minimum that the level needs.
_SPARE_LAUNCHES = 2
_GROWTH = (1.0, 1.5, 2.5)  # one for each of LOOKS
_FIRST_CALLS, _WARMUP_S = 10, 0.03
_BLOCK_S, _FEWEST_VALUES, _MOST_VALUES, _BLOCK_WARMUPS = 0.012, 3, 200, 3
_BLOCK_PAIRS = 2


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One artifact of both bundles: `old` and `new` open it."""

    artifact: str
    old: Load
    new: Load


@dataclass(kw_only=True)
class Contests:
    """The results so far.

    Attributes:
        log_ratios: For each artifact, the logarithm of new over old, one per launch.
        problems: For each artifact that could not be compared, the reason.
    """

    log_ratios: dict[str, list[float]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Side:
    """One file in one launch."""

    worker: BenchClient
    load: Load
    loaded: Loaded | None = None
    values_s: list[float] = field(default_factory=list)
    problem: str = ""
    lost: bool = False


def compare(
    contests: Sequence[Contest], *, margin: float, level: float, seed: int, progress: ProgressCallback
) -> tuple[list[ArtifactComparison], dict[str, str]]:
    """Compares artifacts until all are decided or the launches are used up.

    Args:
        contests: The artifacts of both bundles.
        margin: Allowed slowdown.
        level: Probability that any artifact within the margin is called regressed, over all artifacts and looks.
        seed: Seed of the orders.
        progress: Called for every launch.

    Returns:
        One comparison for each artifact that ran, and why the others did not.
    """
    if not contests:
        return [], {}
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    alpha = level / (len(contests) * LOOKS)
    needed = launches_needed(alpha)
    first = needed + _SPARE_LAUNCHES
    found, open_contests = Contests(), list(contests)
    decided: dict[str, ArtifactComparison] = {}
    launches = 0
    for growth in _GROWTH:
        target = math.ceil(first * growth)
        while launches < target and open_contests:
            _launch([c for c in open_contests if c.artifact not in found.problems], rng, found)
            launches += 1
            detail = f"{len(open_contests)} artifacts undecided"
            progress(Progress(stage="comparing", done=launches, total=target, detail=detail))
        for contest in open_contests:
            ratios = found.log_ratios.get(contest.artifact, [])
            if len(ratios) >= needed:
                threads = contest.new.threads
                decided[contest.artifact] = judge_pairs(contest.artifact, threads, ratios, margin=margin, alpha=alpha)
        open_contests = [c for c in open_contests if _is_open(c.artifact, decided, found.problems)]
    lost = {c.artifact: "its process was lost too often" for c in contests if c.artifact not in decided}
    kept = [decided[c.artifact] for c in contests if c.artifact in decided and c.artifact not in found.problems]
    return kept, {**lost, **found.problems}


def _is_open(artifact: str, decided: Mapping[str, ArtifactComparison], problems: Mapping[str, str]) -> bool:
    return artifact not in problems and (artifact not in decided or decided[artifact].verdict is Verdict.INCONCLUSIVE)


def _launch(contests: Sequence[Contest], rng: random.Random, found: Contests) -> None:
    """Launches both bundles and adds one ratio to each artifact."""
    with ExitStack() as stack:
        # One process for each runtime, since spinning threads of one would disturb the other.
        formats = list(dict.fromkeys(contest.new.format for contest in contests))
        workers = {(side, format): start_worker(stack) for side in range(2) for format in formats}
        pairs = {
            contest.artifact: (
                _side(contest.old, workers[0, contest.new.format]),
                _side(contest.new, workers[1, contest.new.format]),
            )
            for contest in contests
        }
        for side in rng.sample(range(2), 2):
            _open([pair[side] for pair in pairs.values()], rng)
        _contest(pairs, rng, found)


def _contest(pairs: Mapping[str, tuple[_Side, _Side]], rng: random.Random, found: Contests) -> None:
    # A process that dies takes all open files with it: the others of this launch are left out, not blamed.
    lost: set[int] = set()
    for artifact in rng.sample(list(pairs), len(pairs)):
        old, new = pairs[artifact]
        opened = not (old.problem or new.problem)
        if opened and lost & {id(old.worker), id(new.worker)}:
            continue
        _take_turns(old, new, rng)
        failed = [side for side in (old, new) if side.problem]
        lost |= {id(side.worker) for side in failed if side.loaded is not None}
        blamed = next((side for side in failed if not side.lost), None)
        if blamed is not None:
            found.problems[artifact] = f"the baseline's: {old.problem}" if blamed is old else new.problem
        elif not failed:
            ratio = math.log(float(np.median(new.values_s)) / float(np.median(old.values_s)))
            found.log_ratios.setdefault(artifact, []).append(ratio)


def _side(load: Load, worker: BenchClient) -> _Side:
    return _Side(worker=worker, load=replace(load, first_calls=_FIRST_CALLS, warmup_s=_WARMUP_S))


def _open(sides: Sequence[_Side], rng: random.Random) -> None:
    """Opens the files of one bundle in a random order: memory layout is part of the noise."""
    for handle, side in enumerate(rng.sample(list(sides), len(sides))):
        side.load = replace(side.load, handle=handle)
        try:
            side.loaded = side.worker.load(side.load)
        except PocketVaeError as e:
            side.problem = str(e)


def _take_turns(old: _Side, new: _Side, rng: random.Random) -> None:
    if old.loaded is None or new.loaded is None:
        return
    # The same for both, so that the clock's own cost affects both alike.
    loops = max(old.loaded.loops, new.loaded.loops)
    for _ in range(_BLOCK_PAIRS):
        first, second = rng.sample((old, new), 2)
        for side in (first, second, second, first):
            if not (old.problem or new.problem):
                _block(side, loops)


def _block(side: _Side, loops: int) -> None:
    assert side.loaded is not None  # noqa: S101 - sides without a problem were opened
    count = int(_BLOCK_S / max(side.loaded.call_s * loops, 1e-9))
    measure = Measure(
        handle=side.load.handle,
        warmups=_BLOCK_WARMUPS,
        loops=loops,
        count=min(_MOST_VALUES, max(_FEWEST_VALUES, count)),
    )
    try:
        side.values_s += side.worker.measure(measure).values_s
    except PocketVaeError as e:
        side.problem, side.lost = str(e), isinstance(e, HandleLostError)
