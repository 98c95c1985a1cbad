"""Ray: a cluster of one's own on this machine, or one that is there, and the workers in it.

Ray is imported here alone, and only where a cluster is asked for.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pocketvae.errors import SpecError, TargetError, missing_package
from pocketvae.parsing import shortened
from pocketvae.processes.watcher import Watcher
from pocketvae.system.environment import logical_cores
from pocketvae.system.temporary import temporary_directory

LOCAL, AUTO = "local", "auto"
_CLIENT = re.compile(r"ray://(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<port>\d{1,5})")
_CONNECT_TIMEOUT_S = 10.0
_MOST_WORKERS = 10_000
# Results go through the work folder and none through Ray's memory, of which this is the least that there can be.
_OBJECT_STORE_BYTES = 80 << 20
# In bytes: the path of a socket has 103 at most on macOS, of which Ray and the folder's name take 92.
_LONGEST_PARENT = 11
_TIMEOUT_ADVICE = (
    "the port must be that of its Ray client server, 10001 by default; if it asks for a token, copy ~/.ray/auth_token "
    "of its head here, or set RAY_AUTH_TOKEN to it"
)
# Nothing is reported to anybody, nothing is changed in the workers' environment, and no dashboard is served.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
# Off, Ray's processes listen on the loopback address alone.
_ONLY_THIS_MACHINE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Which cluster, and how many workers.

    Attributes:
        address: `local`, `auto` for the cluster that this machine is part of, or `ray://HOST:PORT`.
        workers: Number of workers; None for as many as there are CPUs for.
        threads: CPUs that each of them takes.

    Raises:
        SpecError: the address has another form, or the number of workers is below 1 or above 10,000.
    """

    address: str
    workers: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        found = _CLIENT.fullmatch(self.address)
        if self.address not in (LOCAL, AUTO) and not (found and 0 < int(found["port"]) < 1 << 16):
            raise SpecError(f"--cluster must be local, auto or ray://HOST:PORT, got {self.address!r}")
        if self.workers is not None and not 1 <= self.workers <= _MOST_WORKERS:
            raise SpecError(f"--workers must be 1 to {_MOST_WORKERS}, got {self.workers}")


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[ModuleType]:
    """Yields Ray, connected to a cluster; one of one's own is ended with the block, or with this process.

    Raises:
        TargetError: Ray is not installed, or the cluster cannot be reached or has other versions.
    """
    if cluster.address not in (LOCAL, AUTO):
        _check_reachable(cluster.address)
    ray = _imported(cluster)
    if cluster.address == AUTO:
        _check_joined()
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "critical", "configure_logging": False}
        if cluster.address == LOCAL:
            # What Ray keeps on disk would stay in /tmp/ray; /dev/shm may be too small in a container.
            folder = stack.enter_context(temporary_directory(_short_folder()))
            # Ray's agents outlive what began them by a minute. It is closed behind `ray.shutdown`.
            stack.callback(Watcher(folder).close)
            options |= {
                "include_dashboard": False,
                "num_cpus": cluster.threads * (cluster.workers or local_workers(cluster.threads)),
                "num_gpus": 0,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "_temp_dir": str(folder),
                "_plasma_directory": str(folder),
            }
        stack.callback(ray.shutdown)
        try:
            with _signals_kept(held=cluster.address == LOCAL):
                ray.init(address=cluster.address, **options)
        except Exception as e:  # Ray raises a dozen unrelated types
            raise _refused(cluster.address, e) from e
        yield ray


def _short_folder() -> Path:
    """Returns where temporary folders are, or /tmp if Ray's sockets would have too long a path there."""
    found = Path(tempfile.gettempdir())
    return Path("/tmp") if len(os.fsencode(found)) > _LONGEST_PARENT and Path("/tmp").is_dir() else found  # noqa: S108


def local_workers(threads: int) -> int:
    """Returns how many workers this machine has CPUs for."""
    return max(1, logical_cores() // threads)


def _imported(cluster: Cluster) -> ModuleType:
    """Imports Ray, which reads most of its settings from the environment when it is imported."""
    os.environ.update(_ENVIRONMENT)
    if cluster.address == LOCAL:
        # Other users of this machine reach the loopback address too.
        os.environ.update(_ONLY_THIS_MACHINE, RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray
        import ray._private.worker
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
    except ImportError as e:
        raise missing_package("Ray", "ray") from e
    # Who imported Ray before has it remember other settings.
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = cluster.address != LOCAL
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    if cluster.address != LOCAL and AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        # Ray sends a token that is there to the cluster of this machine, but not to others, which ask for it too.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        Config.initialize("")
    # Ray's own would end this process with the number 15, half started.
    ray._private.utils.set_sigterm_handler = lambda handler: None
    if not hasattr(ray._private.worker.connect, "__wrapped__"):
        ray._private.worker.connect = _without_sigterm(ray._private.worker.connect)
    # Every killed worker would be a paragraph among the results: it has no other switch.
    ray._private.worker._worker_logs_enabled = False
    module: ModuleType = ray
    return module


def _without_sigterm(connect: Callable[..., None]) -> Callable[..., None]:
    """Returns Ray's function that connects, in which SIGTERM waits: its native handler prints a stack and may abort."""

    @functools.wraps(connect)
    def connect_quietly(*arguments: Any, **options: Any) -> None:
        if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
            connect(*arguments, **options)
            return
        mask, own = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}), signal.getsignal(signal.SIGTERM)
        try:
            connect(*arguments, **options)
        finally:
            if own is not None:
                signal.signal(signal.SIGTERM, own)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return connect_quietly


def _check_reachable(address: str) -> None:
    """Checks that somebody listens: Ray itself tries for half a minute.

    Raises:
        TargetError: nobody does.
    """
    found = _CLIENT.fullmatch(address)
    if found and (reason := _unreachable(found["host"].strip("[]"), int(found["port"]))):
        raise TargetError(
            f"no cluster answers at {address} ({reason}): start one with ray start --head, whose Ray client server "
            f"listens at port 10001, or use --cluster local"
        )


def _check_joined() -> None:
    """Checks that this machine is part of a cluster: what an ended one left, Ray itself tries for minutes.

    Raises:
        TargetError: it is not.
    """
    from ray._private import services

    advice = "join a cluster with ray start, or name one as ray://HOST:PORT"
    try:
        host, _, port = services.canonicalize_bootstrap_address(AUTO).rpartition(":")
    except Exception as e:  # Ray raises what it likes
        raise TargetError(f"this machine is part of no Ray cluster: {advice}") from e
    if reason := _unreachable(host.strip("[]"), int(port)):
        raise TargetError(f"the Ray cluster of this machine, {host}:{port}, does not answer ({reason}): {advice}")


def _unreachable(host: str, port: int) -> str:
    """Returns why nobody can be reached at an address; empty if somebody can."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as e:
        return e.strerror or str(e)
    return ""


def _refused(address: str, error: Exception) -> TargetError:
    reason = shortened(" ".join(str(error).split()) or type(error).__name__)
    if "version" in reason.lower():
        return TargetError(f"the cluster {address} has other versions of Ray or Python than this machine: {reason}")
    advice = f": {_TIMEOUT_ADVICE}" if "timeout" in reason and address not in (LOCAL, AUTO) else ""
    return TargetError(f"Ray cannot use the cluster {address}: {reason}{advice}")


@contextlib.contextmanager
def _signals_kept(*, held: bool) -> Iterator[None]:
    """Keeps what this program does at signals: Ray's native code sets a handler of its own, which prints a stack.

    Args:
        held: Signals that come within the block take effect behind it: half started, Ray ends the process as it likes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGTERM", "SIGINT") if sys.platform == "win32" else ("SIGTERM", "SIGINT", "SIGHUP")
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    came: list[int] = []
    for number, handler in before.items():
        if held and handler not in (None, signal.SIG_IGN):
            signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
