"""The remote runner for Qualcomm's Hexagon NPU: onnxruntime's QNN plugin with the vendor's own simulator.

Nothing may fall back to the CPU: a graph that the plugin does not take as a whole is refused, and its operators named.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pocketvae.benchmarks.remote.messages import Job, Timed, TimedJob
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.errors import TargetError
from pocketvae.portability.hexagon import SOC_MODELS
from pocketvae.runtimes.base import Array, FloatArray, Runner
from pocketvae.runtimes.onnxruntime import OnnxRunner
from pocketvae.system.quiet import captured_stderr

_PLUGIN = "QNN"
_FALLBACK_REFUSED = "fallback to CPU EP has been explicitly disabled"
_REFUSED = re.compile(r"\{ name: ([^,{}]*), type: ([^ {}]+) \}")
_MOST_NAMED = 6


class HexagonRemoteRunner(RemoteRunner):
    """Runs ONNX artifacts on the simulator in place of the CPU."""

    def __init__(self, folder: Path, generation: str) -> None:
        """Keeps what to run and as what."""
        super().__init__(folder)
        self._generation = generation

    def open(self, path: Path, job: Job) -> Runner:
        """See `RemoteRunner.open`: whole, or not at all."""
        return HexagonRunner(path, self._generation, job.batch)

    def figures(
        self, path: Path, job: Job, inputs: Mapping[str, Array], outputs: Mapping[str, FloatArray]
    ) -> dict[str, float]:
        """See `RemoteRunner.figures`."""
        return {"npu_share": 1.0}

    def time(self, job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
        """See `RemoteRunner.time`.

        Raises:
            TargetError: always, since a simulator's time is not a phone's.
        """
        raise TargetError("a simulator's latency says nothing about a phone")

    def facts(self) -> dict[str, str]:
        """See `RemoteRunner.facts`."""
        return {
            **super().facts(),
            "onnxruntime-qnn": version("onnxruntime-qnn"),
            "npu": f"Hexagon {self._generation}, Qualcomm's simulator",
        }


class HexagonRunner(OnnxRunner):
    """One file on the simulated NPU, whole."""

    def __init__(self, path: Path, generation: str, batch: int) -> None:
        """Compiles the graph.

        Raises:
            TargetError: the plugin does not take every operator; the message names those.
        """
        self._keep(open_on_npu(path, generation, batch=batch), batch, path.name)
        self.runtime = f"onnxruntime-qnn {version('onnxruntime-qnn')}"


def open_on_npu(path: Path, generation: str, *, batch: int = 1, context: Path | None = None) -> Any:
    """Returns a session that runs a whole ONNX file on the NPU.

    Args:
        path: The file.
        generation: One of `SOC_MODELS`.
        batch: Samples in one call: the NPU's graphs have fixed shapes.
        context: Where the compiled graph is written as an ONNX file for an app; None to write nothing.

    Raises:
        TargetError: the plugin is missing, or does not take every operator; the message names those.
    """
    import onnxruntime as ort

    device, backend = _device()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # A file of several batch sizes has this dimension; of another file it does not change anything.
    options.add_free_dimension_override_by_name("batch", batch)
    if context is not None:
        options.add_session_config_entry("ep.context_enable", "1")
        options.add_session_config_entry("ep.context_file_path", str(context))
        options.add_session_config_entry("ep.context_embed_mode", "1")
    chip = {"backend_path": backend, "htp_arch": generation[1:], "soc_model": SOC_MODELS[generation]}
    options.add_provider_for_devices([device], chip)
    with captured_stderr() as said:
        try:
            return ort.InferenceSession(str(path), options)
        except Exception as e:  # onnxruntime raises many unrelated types for a graph that it cannot place
            error = " ".join(str(e).split())
    raise TargetError(_refusal(generation, error, said.text))


def _refusal(generation: str, error: str, said: str) -> str:
    """Returns why a graph was refused: the operators that the plugin names, or onnxruntime's words."""
    refused = {(name, kind) for name, kind in _REFUSED.findall(said) if "{" not in name}
    if _FALLBACK_REFUSED not in error or not refused:
        return f"Hexagon {generation} does not take it: {error[:200]}"
    counts = Counter(kind for _, kind in refused)
    named = ", ".join(f"{kind} x{count}" for kind, count in sorted(counts.items())[:_MOST_NAMED])
    more = f" and {len(counts) - _MOST_NAMED} other kinds" if len(counts) > _MOST_NAMED else ""
    return f"Hexagon {generation} does not take the whole graph: {named}{more} would run on the CPU"


@cache
def _device() -> tuple[Any, str]:
    """Registers the plugin once in this process; returns its device and the library of the simulator.

    Raises:
        TargetError: it is not installed, or offers no device.
    """
    import onnxruntime as ort

    try:
        plugin: Any = importlib.import_module("onnxruntime_qnn")
    except ImportError as e:
        raise TargetError("onnxruntime-qnn is not set up: run pocketvae targets setup hexagon") from e
    with captured_stderr():
        ort.register_execution_provider_library(_PLUGIN, plugin.get_library_path())
    devices = [item for item in ort.get_ep_devices() if item.ep_name == _PLUGIN]
    if not devices:
        raise TargetError("onnxruntime-qnn offers no device: this machine's processor or C library is not supported")
    return devices[0], plugin.get_qnn_htp_path()
