"""Devices that are not there: a channel in this process, with the program of a target at its end.

`simulated://NAME` is a target for the time of `simulated`; what NAME does is said beside it. Everything but the
connection is real: messages, arrays, the runner and the runtimes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target
from pocketvae.benchmarks.fleet import config
from pocketvae.benchmarks.remote.channel import ChannelRun
from pocketvae.benchmarks.remote.messages import Method
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import Bundle
from pocketvae.errors import ChannelError, TimeLimitError
from pocketvae.processes.envelope import Request, Response
from pocketvae.processes.rpc import respond

_SCHEME = "simulated:"
_LOST = 255


@dataclass(kw_only=True)
class Behaviour:
    """What a simulated device does.

    Attributes:
        delay_s: Of every answer.
        times: How much longer its calls take than on this machine.
        lost_after: Answers until it is gone; None for never.
        hangs: Whether it stops answering, and says nothing, once opened.
        machine: Which machine it is on; its own by default.
        before: Called before every answer with the request's method.
    """

    delay_s: float = 0.0
    times: float = 1.0
    lost_after: int | None = None
    hangs: bool = False
    machine: str | None = None
    before: Callable[[str], None] = lambda method: None


@dataclass(kw_only=True)
class Gauge:
    """How many devices are open at the same time, and which ones were together with which."""

    open: list[str] = field(default_factory=list)
    most: int = 0
    together: list[tuple[str, ...]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Counts a device as open in the block."""
        with self.lock:
            self.open.append(name)
            self.most = max(self.most, len(self.open))
            self.together.append(tuple(sorted(self.open)))
        try:
            yield
        finally:
            with self.lock:
                self.open.remove(name)


class SimulatedChannel:
    """Answers as the program inside a target does, or not at all."""

    def __init__(self, behaviour: Behaviour, bundle: Bundle) -> None:
        """Starts the program.

        Args:
            behaviour: Of its device.
            bundle: Which it has.
        """
        self._behaviour, self._answers = behaviour, 0
        self._handlers = RemoteRunner(bundle.path).handlers()

    def ask(self, request: Request, time_limit_s: float) -> Response:
        """See `Channel.ask`."""
        behaviour = self._behaviour
        if behaviour.hangs and request.method != Method.FACTS:
            time.sleep(time_limit_s)
            raise TimeLimitError(f"it took longer than {time_limit_s:g} s and was ended")
        if behaviour.lost_after is not None and self._answers >= behaviour.lost_after:
            raise ChannelError("the cable was pulled", _LOST)
        behaviour.before(request.method)
        time.sleep(behaviour.delay_s)
        self._answers += 1
        response = respond(self._handlers, request)
        return _slowed(response, behaviour.times) if request.method == Method.TIME else response

    def close(self) -> None:
        """See `Channel.close`."""


def _slowed(response: Response, times: float) -> Response:
    if response.error is not None or not isinstance(response.result, dict):
        return response
    latency: dict[str, Any] = response.result["latency"]
    # The same on every device but for what it is meant to be, so that a test does not depend on what else runs here.
    values = [1e-3 * times * (1 + 0.01 * (index % 5)) for index in range(len(latency["values_s"]))]
    return replace(response, result={**response.result, "latency": {**latency, "values_s": values}})


class SimulatedTarget(Target):
    """A target behind such a channel."""

    def __init__(self, name: str, behaviour: Behaviour, gauge: Gauge) -> None:
        """Keeps all three."""
        self.name, self.summary = f"{_SCHEME}//{name}", "no device"
        self._behaviour, self._gauge, self._short = behaviour, gauge, name

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return None

    def machine(self) -> str:
        """See `Target.machine`."""
        return self._short if self._behaviour.machine is None else self._behaviour.machine

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        held = contextlib.ExitStack()
        held.enter_context(self._gauge.holding(self._short))
        try:
            return _Run(self.name, SimulatedChannel(self._behaviour, bundle), bundle, held)
        except BaseException:
            held.close()
            raise


class _Run(ChannelRun):
    def __init__(self, name: str, channel: SimulatedChannel, bundle: Bundle, held: contextlib.ExitStack) -> None:
        self._held = held
        super().__init__(name, channel, bundle)

    def close(self) -> None:
        self._held.close()
        super().close()


@contextlib.contextmanager
def simulated(behaviours: Mapping[str, Behaviour]) -> Iterator[Gauge]:
    """Makes `simulated://NAME` a target in the block; a name that is not given behaves well.

    Args:
        behaviours: By name.
    """
    gauge = Gauge()

    def make(name: str) -> Target:
        kind, _, rest = name.partition("//")
        return SimulatedTarget(rest, behaviours.get(rest, Behaviour()), gauge) if kind == _SCHEME else make_target(name)

    with mock.patch.object(config, "make_target", make):
        yield gauge
