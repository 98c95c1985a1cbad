"""The remote runner for Rockchip's NPUs: the vendor's toolkit compiles an ONNX file and its simulator runs it.

It runs beside its own numpy, onnx and protobuf, which are older than those of the rest of pocketvae.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pocketvae.benchmarks.remote.messages import Job, Timed, TimedJob
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Array, Optimizations, Runner
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format
from pocketvae.system.quiet import captured_stderr
from pocketvae.system.temporary import TemporaryFolder

# What the toolkit believes to be PyTorch: it imports some of its modules, and uses them for PyTorch's own models alone.
_TORCH, _TORCH_VERSION = "torch", "2.4.0"
_ERROR = re.compile(r"^(?:E |ValueError: |RKNN: |\[[0-9:.]+\] )+(.*)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RknnRemoteRunner(RemoteRunner):
    """Runs ONNX artifacts on the simulator in place of the CPU."""

    def __init__(self, folder: Path, platform: str) -> None:
        """Keeps what to run and as what."""
        super().__init__(folder.absolute())
        self._platform = platform
        # The toolkit writes its intermediate graphs into the current folder.
        self._scratch = TemporaryFolder()
        os.chdir(self._scratch.path)

    def open(self, path: Path, job: Job) -> Runner:
        """See `RemoteRunner.open`."""
        return RknnRunner(path, self._platform, job.batch)

    def time(self, job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
        """See `RemoteRunner.time`.

        Raises:
            TargetError: always, since a simulator's time is not a board's.
        """
        raise TargetError("a simulator's latency says nothing about a board")

    def facts(self) -> dict[str, str]:
        """See `RemoteRunner.facts`."""
        return {
            **super().facts(),
            "rknn-toolkit2": version("rknn-toolkit2"),
            "npu": f"{self._platform}, Rockchip's simulator",
        }


class RknnRunner(Runner):
    """One file on the simulated NPU; its interface is what onnxruntime finds."""

    def __init__(self, path: Path, platform: str, batch: int) -> None:
        """Compiles the graph.

        Raises:
            ParityError: onnxruntime does not read the file.
            TargetError: the toolkit does not compile it; the message has its error.
        """
        with open_runner(path, Format.ONNX, optimizations=Optimizations.OFF, batch=batch) as own:
            self.inputs, self.outputs = own.inputs, own.outputs
        self.batch, self.batches = batch, (batch,)
        self.runtime = f"rknn-toolkit2 {version('rknn-toolkit2')}"
        shapes = [list(spec.shape) for spec in self.inputs.values()]
        api = _toolkit()
        with captured_stderr() as said:
            self._rknn: Any = api.RKNN(verbose=False)
            steps: tuple[Callable[[], int], ...] = (
                lambda: self._rknn.config(target_platform=platform),
                lambda: self._rknn.load_onnx(str(path), inputs=list(self.inputs), input_size_list=shapes),
                lambda: self._rknn.build(do_quantization=False),
                lambda: self._rknn.init_runtime(),
            )
            try:
                is_built = all(step() == 0 for step in steps)
            except Exception as e:  # the toolkit logs what it raises, whatever the type
                is_built, error = False, str(e)
            else:
                error = ""
        if not is_built:
            raise TargetError(f"rknn-toolkit2 does not take it for {platform}: {_reason(said.text + error)}")

    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner._invoke`: images are given as the file has them."""
        values = [np.ascontiguousarray(feed[name]) for name in self.inputs]
        layouts = ["nchw"] * len(values) if any(value.ndim == 4 for value in values) else None
        with captured_stderr() as said:
            found = self._rknn.inference(inputs=values, data_format=layouts)
        if found is None:
            raise TargetError(f"Rockchip's simulator does not run it: {_reason(said.text)}")
        return {
            name: np.asarray(value).reshape(spec.shape)
            for (name, spec), value in zip(self.outputs.items(), found, strict=True)
        }

    def close(self) -> None:
        """See `Runner.close`."""
        self._rknn.release()


class _NoTorch(MetaPathFinder, Loader):
    """Finds empty modules in place of PyTorch's, which would be some 3 GB to download for nothing."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] == _TORCH else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """See `Loader.create_module`: every name is an empty class, from which one can derive."""
        module = ModuleType(spec.name)
        module.__dict__.update(__version__=_TORCH_VERSION, __getattr__=_empty_class)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader.exec_module`."""


class _Unused:
    """Stands for whatever PyTorch has; a decorator such as `no_grad()` leaves a function as it is."""

    def __call__(self, decorated: object) -> object:
        return decorated


def _empty_class(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (_Unused,), {})


def _toolkit() -> Any:
    """Returns the toolkit's module.

    Raises:
        TargetError: it is not installed.
    """
    if not any(isinstance(finder, _NoTorch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoTorch())
    try:
        return importlib.import_module("rknn.api")
    except ImportError as e:
        raise TargetError(f"rknn-toolkit2 is not set up ({e}): run pocketvae targets setup rknn") from e


def _reason(said: str) -> str:
    """Returns the first error that the toolkit logged, on one line."""
    errors = [" ".join(line.split()) for line in _ERROR.findall(_COLOUR.sub("", said))]
    # Every compilation says this, also of what then runs.
    told = [line for line in errors if line and "Unkown op target" not in line and not line.startswith("Traceback")]
    return told[0][:300] if told else "it does not say why"
