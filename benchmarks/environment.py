"""The machine that figures were measured on: enough to tell whether two results can be compared, and no more."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from pocketvae.spec import STRICT
from pocketvae.versions import installed_versions


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A machine and its software. Holds no host name, user or path.

    Attributes:
        cpu: Model name.
        governor: Frequency governor of the first core, where the system tells.
        load_average: Over the minute before, in runnable processes.
    """

    __pydantic_config__ = STRICT
    system: str
    machine: str
    cpu: str
    logical_cores: int
    governor: str | None
    load_average: float | None
    python: str
    versions: dict[str, str]


def current_environment() -> Environment:
    """Returns the environment of this process, now."""
    return Environment(
        system=platform.system(),
        machine=platform.machine(),
        cpu=_cpu_model(),
        logical_cores=logical_cores(),
        governor=_read_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        python=platform.python_version(),
        versions=installed_versions(),
    )


def logical_cores() -> int:
    """Returns the cores that this process may use, which a container can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return models[0] if models else platform.processor() or "unknown"


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return None
