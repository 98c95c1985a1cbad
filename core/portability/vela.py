"""Arm's compiler for Ethos-U, vela: the compiled file, what stays on the CPU, and the vendor's estimate of the time.

It runs as a separate process: it ends with a segmentation fault on some damaged files.
"""

from __future__ import annotations

import csv
import io
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.formats.tflite.model import operator_name, tensor_name, view_model
from pocketvae.installation import python_path
from pocketvae.portability.ethos_u import EthosU
from pocketvae.portability.records import Backend, Portability
from pocketvae.portability.tally import tally
from pocketvae.system.files import write_bytes
from pocketvae.system.temporary import temporary_directory
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, run_tool, target_folder

VELA_VERSION = "5.2.0"
_REQUIREMENTS = (f"ethos-u-vela=={VELA_VERSION}", "flatbuffers==25.12.19")
_DOWNLOAD_BYTES = 2_100_000
_TIME_LIMIT_S = 120.0
_KIB = 1024
# Operators that a remark names by their cycles.
_MOST_NAMED = 3
_NAME = "model"
_MISSING = "ethos-u-vela is not set up: run pocketvae targets setup ethos-u"
_WARNING = re.compile(r"^Warning \([^)]*\) operator: (\S+), ofm: '(.*)'$\n((?:^(?!Warning|#).+$\n)+)", re.MULTILINE)
# What a file with a float interface needs before and after the NPU.
INTERFACE = frozenset({"QUANTIZE", "DEQUANTIZE"})
# Vela's word for an operator that it does not know.
_UNKNOWN = "None"
# The reason names a tensor of the file, which differs between operators with the same reason.
_TENSOR = re.compile(r" \([^()]*\)$")


@dataclass(frozen=True, kw_only=True)
class NpuOperator:
    """One operator of the compiled graph.

    Attributes:
        kind: Type, by vela's name.
        name: Name of its output.
        on_npu: Whether the NPU runs it.
        cycles: The estimate; 0 for one that is fused into the operator before it or stays on the CPU.
    """

    kind: str
    name: str
    on_npu: bool
    cycles: int


@dataclass(frozen=True, kw_only=True)
class LeftOnCpu:
    """One operator that stays on the CPU.

    Attributes:
        operator: Name in TFLite.
        tensor: Name of its output.
        reason: Vela's own.
    """

    operator: str
    tensor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class NpuEstimate:
    """What vela says of one file. Times are the vendor's estimate of the NPU's share and are not measured.

    Attributes:
        chip: What it was compiled for.
        cycles: Of one inference on the NPU; what stays on the CPU is not counted.
        time_s: The same at the system configuration's clock.
        sram_bytes: Peak of activations and buffers.
        flash_bytes: Weights and commands in flash, or in DRAM where the memory mode stores them there.
        operators: In the order of execution.
        left: What stays on the CPU.
        compiled: The file for the device.
    """

    chip: EthosU
    cycles: int
    time_s: float
    sram_bytes: int
    flash_bytes: int
    operators: tuple[NpuOperator, ...]
    left: tuple[LeftOnCpu, ...]
    compiled: bytes

    @property
    def npu_share(self) -> float:
        """The share of the operators that the NPU runs."""
        return sum(item.on_npu for item in self.operators) / max(1, len(self.operators))

    @property
    def left_inside(self) -> tuple[LeftOnCpu, ...]:
        """What stays on the CPU between the first and the last operator of the NPU: all but a float interface."""
        return tuple(item for item in self.left if item.operator not in INTERFACE)

    def figures(self) -> dict[str, float]:
        """Returns its numbers by name, as documents have them."""
        return {
            "npu_share": self.npu_share,
            "cpu_operators": float(len(self.left_inside)),
            "estimated_cycles": float(self.cycles),
            "estimated_s": self.time_s,
            "sram_bytes": float(self.sram_bytes),
            "flash_bytes": float(self.flash_bytes),
        }

    def portability(self) -> Portability:
        """Returns it as the linter's record."""
        left = [(item.operator, item.reason) for item in self.left]
        return tally(Backend.ETHOS_U, len(self.operators), left, f"vela {VELA_VERSION} for {self.chip.describe()}")

    def remarks(self) -> tuple[str, ...]:
        """Returns sentences for people: the estimate, and what stays on the CPU."""
        if len(self.left) == len(self.operators):
            said = f"vela {VELA_VERSION} for {self.chip.describe()}: nothing runs on the NPU"
            return (f"{said}; all {len(self.operators)} operators on the CPU: {self._left_text()}",)
        words = (
            f"estimated by vela {VELA_VERSION} for {self.chip.describe()}: {self.cycles:,} cycles, "
            f"{1e6 * self.time_s:.0f} µs on the NPU, SRAM {self.sram_bytes / _KIB:.1f} KiB, "
            f"flash {self.flash_bytes / _KIB:.1f} KiB"
        )
        if not self.left:
            return (f"{words}; all {len(self.operators)} operators on the NPU",)
        return (f"{words}; {len(self.left)} of {len(self.operators)} operators on the CPU: {self._left_text()}",)

    def dearest(self) -> tuple[str, ...]:
        """Returns a sentence that names the operators with the most cycles and their shares; none without cycles."""
        total = sum(item.cycles for item in self.operators)
        first = sorted(self.operators, key=lambda item: -item.cycles)[:_MOST_NAMED]
        parts = [f"{item.kind} {item.name.split(';')[0]} {item.cycles / total:.0%}" for item in first if item.cycles]
        return (f"estimated cycles by operator: {', '.join(parts)}",) if parts else ()

    def _left_text(self) -> str:
        groups: dict[str, dict[str, int]] = {}
        for item in self.left:
            names = groups.setdefault(item.reason, {})
            names[item.operator] = names.get(item.operator, 0) + 1
        parts = []
        for reason, names in groups.items():
            counted = ", ".join(f"{name} x{count}" for name, count in sorted(names.items()))
            parts.append(f"{counted} ({reason})")
        return ", ".join(parts)


def vela_step() -> SetupStep:
    """Returns the step of `targets setup` that installs vela for this interpreter into a folder of its own."""
    key = " ".join((*_REQUIREMENTS, platform.machine(), platform.python_version()))
    return folder_step(
        _site(),
        text="Arm's compiler ethos-u-vela, and flatbuffers, which it needs, by pip",
        key=key,
        download_bytes=_DOWNLOAD_BYTES,
        make=lambda folder: install_here(folder, _REQUIREMENTS),
    )


def require_vela() -> None:
    """Checks that vela is set up.

    Raises:
        TargetError: it is not.
    """
    if not vela_step().is_done():
        raise TargetError(_MISSING)


def compile_for(chip: EthosU, content: bytes, name: str) -> NpuEstimate:
    """Compiles a TFLite file.

    Args:
        chip: What for.
        content: The file.
        name: Of the file, for errors.

    Raises:
        TargetError: vela is not set up, fails, or takes too long.
    """
    require_vela()
    with temporary_directory() as folder:
        path = folder / f"{_NAME}.tflite"
        write_bytes(path, content)
        said = run_tool(
            _command(chip, path, folder),
            f"compiling {name} for {chip.accelerator} by vela",
            environment={"PYTHONPATH": python_path(_site()), "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"},
            time_limit_s=_TIME_LIMIT_S,
        )
        try:
            return _read(chip, folder, said, _names(content) if _UNKNOWN in said else {})
        except (OSError, KeyError, ValueError, StopIteration) as e:
            raise TargetError(f"{name}: vela's report cannot be read ({type(e).__name__}: {e})") from e


def _command(chip: EthosU, path: Path, folder: Path) -> tuple[str, ...]:
    options = {
        "--accelerator-config": chip.accelerator,
        "--system-config": chip.system_config,
        "--memory-mode": chip.memory_mode,
        "--config": "Arm/vela.ini",
        "--output-dir": str(folder),
    }
    words = [word for option in options.items() for word in option]
    return (
        sys.executable,
        "-m",
        "ethosu.vela",
        str(path),
        *words,
        "--show-cpu-operations",
        "--verbose-performance",
    )


def _names(content: bytes) -> dict[str, str]:
    """Returns the operators of a file by the names of their outputs."""
    model = view_model(content)
    graph = model.subgraphs[0]
    return {
        tensor_name(graph.tensors[index]): operator_name(model, item)
        for item in graph.operators
        for index in item.outputs
    }


def _read(chip: EthosU, folder: Path, said: str, names: Mapping[str, str]) -> NpuEstimate:
    (summary,) = _rows(next(folder.glob(f"{_NAME}_summary_*.csv")))
    operators = tuple(
        NpuOperator(
            kind=row["Original Operator"],
            name=row["Name"],
            on_npu=row["Target"] == "NPU",
            cycles=int(float(row["Op Cycles"])),
        )
        for row in _rows(folder / f"{_NAME}_per-layer.csv")
    )
    return NpuEstimate(
        chip=chip,
        cycles=int(float(summary["cycles_total"])),
        time_s=float(summary["inference_time"]),
        sram_bytes=_bytes(summary, "sram"),
        flash_bytes=sum(_bytes(summary, kind) for kind in ("dram", "on_chip_flash", "off_chip_flash")),
        operators=operators,
        left=_left(operators, said, names),
        compiled=(folder / f"{_NAME}_vela.tflite").read_bytes(),
    )


def _left(operators: tuple[NpuOperator, ...], said: str, names: Mapping[str, str]) -> tuple[LeftOnCpu, ...]:
    reasons = {tensor: (kind, _reason(text)) for kind, tensor, text in _WARNING.findall(said)}
    found = []
    for item in operators:
        if not item.on_npu:
            kind, reason = reasons.get(item.name, (item.kind, "vela does not say why"))
            operator = names.get(item.name, kind) if kind == _UNKNOWN else kind
            found.append(LeftOnCpu(operator=operator, tensor=item.name, reason=reason))
    return tuple(found)


def _reason(text: str) -> str:
    return _TENSOR.sub("", text.splitlines()[0].removeprefix("Reason: "))


def _bytes(summary: Mapping[str, str], kind: str) -> int:
    return round(_KIB * float(summary[f"{kind}_memory_used"]))


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


def _site() -> Path:
    return target_folder("ethos-u") / "site"
