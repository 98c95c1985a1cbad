"""Description of the machine that figures were measured on, to decide whether two results can be compared."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketvae.spec import STRICT
from pocketvae.versions import installed_versions

_FEATURES = frozenset(
    {
        "amx_int8",
        "asimd",
        "asimddp",
        "asimdhp",
        "avx",
        "avx2",
        "avx512_bf16",
        "avx512_fp16",
        "avx512_vnni",
        "avx512f",
        "avx_vnni",
        "f16c",
        "fma",
        "hypervisor",
        "i8mm",
        "sse4_2",
        "sve",
        "sve2",
    }
)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A machine and its software. Holds no host name, user or path.

    Attributes:
        cpu: Model name.
        cpu_features: Instruction sets that kernels are chosen by; `hypervisor` on a virtual machine.
        governor: Frequency governor of the first core, where the system tells.
        turbo: Whether the clock may rise above its base frequency, where the system tells.
        load_average: Over the minute before, in runnable processes.
    """

    __pydantic_config__ = STRICT
    system: str
    machine: str
    cpu: str
    logical_cores: int
    cpu_features: tuple[str, ...] = ()
    governor: str | None
    turbo: bool | None = None
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
        cpu_features=_cpu_features(),
        governor=_read_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        turbo=_turbo(),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        python=platform.python_version(),
        versions=installed_versions(),
    )


def logical_cores() -> int:
    """Returns the cores that this process may use, which a container can make fewer than the machine has."""
    # Linux answers by itself: a device under test need not have psutil.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    import psutil

    # macOS ties no process to cores.
    if hasattr(psutil.Process, "cpu_affinity"):
        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1


def _cpu_model() -> str:
    if sys.platform == "darwin":
        return _said(("sysctl", "-n", "machdep.cpu.brand_string")) or platform.processor() or "unknown"
    if sys.platform == "win32":
        return _windows_cpu_model()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return models[0] if models else platform.processor() or "unknown"


def _said(command: Sequence[str]) -> str:
    """Returns what a program prints; empty where it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _windows_cpu_model() -> str:
    """Returns the name that the registry has; `platform.processor` gives family and stepping alone."""
    if sys.platform == "win32":
        import winreg

        with (
            contextlib.suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key,
        ):
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    return platform.processor() or "unknown"


def _cpu_features() -> tuple[str, ...]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").partition(":")[2].split()
    return tuple(sorted(_FEATURES.intersection(flags)))


def _turbo() -> bool | None:
    """Asks the two places where Linux has it; the first says it the other way round."""
    devices = Path("/sys/devices/system/cpu")
    disabled, boost = _read_line(devices / "intel_pstate" / "no_turbo"), _read_line(devices / "cpufreq" / "boost")
    if disabled is not None:
        return disabled == "0"
    return None if boost is None else boost == "1"


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return None
