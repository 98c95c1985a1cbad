"""Work on many devices, a few at a time: one that is slow, lost or broken costs only itself."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from pocketvae.benchmarks.execution.target import THIS_MACHINE, Target
from pocketvae.benchmarks.fleet.config import DeviceConfig, FleetConfig
from pocketvae.errors import PocketVaeError
from pocketvae.processes.deadline import Deadline
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system.shortage import shortage_of

_Result = TypeVar("_Result")

# Beyond its time limit, for a device to end a call and remove its copies; then it is given up.
_GRACE_S = 60.0
# After an interruption, of which the program has to end within seconds, with time left to write the results.
_UNWIND_S = 1.5
# For one that was given up to end after all, once nothing is left to do but what waits for its machine.
_PATIENCE_S = 60.0
# Signals only reach a main thread that wakes up from time to time on some systems.
_LOOK_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Ended(Generic[_Result]):
    """How the work on a device ended.

    Attributes:
        result: None where there is none; where there is a problem, what was done before it.
        problem: Why there is none, or not a whole one.
        elapsed_s: How long it took.
    """

    result: _Result | None
    problem: str = ""
    elapsed_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Finished(Generic[_Result]):
    """How the work on a fleet ended.

    Attributes:
        by_device: Of every device, by its name.
        interruption: What ended it early; to be raised again once the results are kept.
    """

    by_device: dict[str, Ended[_Result]]
    interruption: KeyboardInterrupt | None = None


Work: TypeAlias = Callable[[DeviceConfig, Target, Deadline, ProgressCallback], _Result]
# The name of a device and why its work ended early: what it has done until now, None where that is nothing.
SoFar: TypeAlias = Callable[[str, str], _Result | None]


@dataclass(kw_only=True)
class _Running:
    device: DeviceConfig
    machine: str
    deadline: Deadline
    started: float = field(default_factory=time.monotonic)


def run_devices(
    fleet: FleetConfig,
    work: Work[_Result],
    progress: ProgressCallback,
    *,
    this_machine_alone: bool,
    so_far: SoFar[_Result] | None = None,
) -> Finished[_Result]:
    """Works on every device, in the order of the fleet, as many at a time as it allows.

    Devices of one machine take turns. One that was given up keeps its machine until its work ends after all; what waits
    for it in vain is not run.

    Args:
        fleet: Its devices and their limits.
        work: Called in a thread for each device with its target, its deadline, and a callback for its progress.
        progress: Called in this thread.
        this_machine_alone: Whether nothing else runs while a device of this machine does, as times ask for.
        so_far: Asked for what a device has done whose work raises an error, is given up or interrupted; its thread may
            still be at work then. None keeps nothing of it.
    """
    scheduler = _Scheduler(fleet, work, progress, so_far, this_machine_alone=this_machine_alone)
    try:
        scheduler.run()
    except KeyboardInterrupt as e:
        scheduler.stop("interrupted")
        return Finished(by_device=scheduler.ended, interruption=e)
    return Finished(by_device=scheduler.ended)


class _Scheduler(Generic[_Result]):
    def __init__(
        self,
        fleet: FleetConfig,
        work: Work[_Result],
        progress: ProgressCallback,
        so_far: SoFar[_Result] | None,
        *,
        this_machine_alone: bool,
    ) -> None:
        self.ended: dict[str, Ended[_Result]] = {}
        self._fleet, self._work, self._progress, self._alone = fleet, work, progress, this_machine_alone
        self._so_far = so_far
        self._targets = {device.name: device.made() for device in fleet.devices}
        self._running: dict[str, _Running] = {}
        # Given up, though their threads are still at work.
        self._stuck: dict[str, _Running] = {}
        self._news: queue.Queue[tuple[str, Progress | Ended[_Result]]] = queue.Queue()
        own = [device for device in fleet.devices if self._machine(device) == THIS_MACHINE] if self._alone else []
        # What needs the machine for itself comes last, since it would keep the others waiting.
        self._waiting = [*(device for device in fleet.devices if device not in own), *own]

    def run(self) -> None:
        """Returns when every device has ended or was given up."""
        while self._waiting or self._running:
            while (device := self._next()) is not None:
                self._start(device)
            if self._waiting and not self._running:
                self._wait_for_stuck()
                continue
            with contextlib.suppress(queue.Empty):
                self._take(*self._news.get(timeout=_LOOK_S))
            for running in [item for item in self._running.values() if item.deadline.left_s < -_GRACE_S]:
                self._stuck[running.device.name] = running
                limit = f"{running.deadline.limit_s:g} s"
                self._end(running, self._cut(running, f"it did not answer within its time limit of {limit}"))

    def stop(self, problem: str) -> None:
        """Ends all devices that have not ended, for the same reason; each has a moment to end its call and clean up."""
        self._progress = ignore_progress
        self._running = {name: running for name, running in self._running.items() if name not in self.ended}
        for running in self._running.values():
            running.deadline.cut(problem)
        until = time.monotonic() + _UNWIND_S
        while self._running and (left_s := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._take(*self._news.get(timeout=left_s))
        for running in list(self._running.values()):
            self._end(running, self._cut(running, problem))
        for device in self._fleet.devices:
            self.ended.setdefault(device.name, Ended(result=None, problem=f"{problem} before it began"))

    def _next(self) -> DeviceConfig | None:
        """Returns the next device that may begin; None where all have to wait."""
        if len(self._running) >= self._fleet.at_once:
            return None
        return next((device for device in self._waiting if self._may_begin(device)), None)

    def _may_begin(self, device: DeviceConfig) -> bool:
        machine, running = self._machine(device), self._running.values()
        # One that was given up holds up nobody but those that share its machine, or a label that bears no more.
        working = [*running, *self._stuck.values()]
        if any(item.machine == machine for item in working):
            return False
        if self._alone and running and THIS_MACHINE in (machine, *(item.machine for item in running)):
            return False
        for label, most in self._fleet.at_once_per.items():
            value = device.labels.get(label)
            if value is not None and sum(item.device.labels.get(label) == value for item in working) >= most:
                return False
        return True

    def _wait_for_stuck(self) -> None:
        """Waits for one that was given up, which all that are left wait for; in vain, these are not run."""
        until, before = time.monotonic() + _PATIENCE_S, len(self._stuck)
        while (left_s := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._take(*self._news.get(timeout=min(left_s, _LOOK_S)))
            if len(self._stuck) < before:
                return
        names = ", ".join(self._stuck)
        for device in self._waiting:
            problem = f"it had to wait for {names}, given up and still at work"
            self.ended[device.name] = Ended(result=None, problem=problem)
            self._say(f"{device.name} ended")
        self._waiting.clear()

    def _machine(self, device: DeviceConfig) -> str:
        return self._targets[device.name].machine()

    def _start(self, device: DeviceConfig) -> None:
        self._waiting.remove(device)
        running = _Running(device=device, machine=self._machine(device), deadline=Deadline(device.time_limit_s))
        self._running[device.name] = running
        # A daemon: a device that was given up must not keep the program from ending.
        thread = threading.Thread(target=self._do, args=(running,), name=device.name, daemon=True)
        try:
            thread.start()
        except RuntimeError as e:
            self._end(running, Ended(result=None, problem=shortage_of(e) or str(e)))

    def _do(self, running: _Running) -> None:
        device = running.device
        with running.deadline.applied():
            ended = self._outcome(running)
        self._news.put((device.name, ended))

    def _outcome(self, running: _Running) -> Ended[_Result]:
        device = running.device

        def step(progress: Progress) -> None:
            self._news.put((device.name, progress))

        try:
            result = self._work(device, self._targets[device.name], running.deadline, step)
        except PocketVaeError as e:
            return self._cut(running, str(e))
        except BaseException as e:  # whatever it is must not cost the other devices their results
            return self._cut(running, f"{type(e).__name__}: {e}")
        return Ended(result=result)

    def _cut(self, running: _Running, problem: str) -> Ended[_Result]:
        """Returns how the work on a device ended that a problem ended early, with what was done before."""
        result = None if self._so_far is None else self._so_far(running.device.name, problem)
        return Ended(result=result, problem=problem)

    def _take(self, name: str, news: Progress | Ended[_Result]) -> None:
        running = self._running.get(name)
        if running is None:  # it was given up
            if isinstance(news, Ended):
                self._stuck.pop(name, None)
            return
        if isinstance(news, Ended):
            self._end(running, news)
        else:
            self._say(f"{name}: {news.detail or news.stage}")

    def _end(self, running: _Running, ended: Ended[_Result]) -> None:
        name = running.device.name
        elapsed_s = time.monotonic() - running.started
        # First, so that an interruption between both loses nothing.
        self.ended[name] = Ended(result=ended.result, problem=ended.problem, elapsed_s=elapsed_s)
        del self._running[name]
        self._say(f"{name} ended")

    def _say(self, detail: str) -> None:
        done, total = len(self.ended), len(self._fleet.devices)
        self._progress(Progress(stage="devices", done=done, total=total, detail=detail))
