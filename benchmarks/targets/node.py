"""The target `node`: ONNX files in Node.js, with onnxruntime-node."""

from __future__ import annotations

import shutil

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, refuse_option
from pocketvae.benchmarks.remote.scripts import ScriptRun, write_scripts
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.processes.line_process import LineProcess
from pocketvae.spec import Format
from pocketvae.system.temporary import TemporaryFolder
from pocketvae.system.tools import npm
from pocketvae.system.tools.setup import SetupStep, folder_step, named_program, target_folder

_PACKAGES = ("onnxruntime-node@1.30.0",)
# The package brings the libraries of every system.
_UNWANTED = ("node_modules/onnxruntime-node/bin/napi-v*/{system}",)


class NodeTarget(Target):
    """Parity and latency of ONNX files in Node.js, which does not have a TFLite runtime."""

    name = "node"
    summary = "Node.js with onnxruntime-node: ONNX files"

    def __init__(self, option: str = "") -> None:
        """See `make_target`.

        Raises:
            SpecError: an option is given.
        """
        refuse_option(self.name, option)
        self._folder = target_folder(self.name) / "packages"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        try:
            _node()
        except TargetError as e:
            return str(e)
        if not all(step.is_done() for step in self.setup()):
            return "onnxruntime-node is not set up: run pocketvae targets setup node"
        return None

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        node = _node()
        folder = TemporaryFolder()
        try:
            write_scripts(folder.path, ("node.mjs", "samples.mjs", "envelope.mjs"))
            process = LineProcess([node, str(folder.path / "node.mjs"), str(self._folder)])
            return NodeRun(self.name, process, bundle, folder)
        except BaseException:
            folder.remove()
            raise

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        return "" if artifact.format is Format.ONNX else "there is no TFLite runtime for Node.js"

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        return (
            folder_step(
                self._folder,
                text=f"the npm package {_PACKAGES[0]}, without running its scripts",
                key=" ".join(_PACKAGES),
                download_bytes=114_000_000,
                make=lambda folder: npm.install(folder, _PACKAGES, unwanted=_UNWANTED),
            ),
        )


class NodeRun(ScriptRun):
    """A Node.js process, and the folder with its program."""

    def __init__(self, name: str, process: LineProcess, bundle: Bundle, folder: TemporaryFolder) -> None:
        """Starts the process.

        Raises:
            TargetError: it does not start.
        """
        self._scripts = folder
        super().__init__(name, process, bundle)

    def close(self) -> None:
        """See `TargetRun.close`."""
        super().close()
        self._scripts.remove()


def _node() -> str:
    """Returns the program.

    Raises:
        TargetError: there is none.
    """
    node = named_program("POCKETVAE_NODE") or shutil.which("node") or shutil.which("nodejs")
    if node is None:
        raise TargetError("Node.js is not installed: install it with the system's package manager")
    return node
