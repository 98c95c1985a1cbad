"""The command `pocketvae doctor`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
from importlib import metadata

from pocketvae.cli.terminal import Terminal
from pocketvae.installation import install_command

# Package, its module, what it is for, the extra that installs it.
_PACKAGES = (
    ("numpy", "numpy", "everything", ""),
    ("pillow", "PIL", "pictures, image folders", ""),
    ("pydantic", "pydantic", "manifests and results", ""),
    ("rich", "rich", "tables and progress", ""),
    ("ai-edge-litert", "ai_edge_litert", "running TFLite files", "run"),
    ("onnxruntime", "onnxruntime", "running ONNX files", "run"),
    ("pyarrow", "pyarrow", "latents and recordings as Parquet", "parquet"),
    ("ray", "ray", "work on a cluster", "ray"),
    ("soundfile", "soundfile", "recordings as sound files", "sound"),
    ("tensorflow", "tensorflow", "training, conversion", "train"),
    ("tf-keras", "tf_keras", "training, conversion", "train"),
    ("matplotlib", "matplotlib", "learning curves", "train"),
    ("onnx", "onnx", "conversion to ONNX", "export"),
    ("tf2onnx", "tf2onnx", "conversion to ONNX", "export"),
)
_COMMANDS = (
    ("train", ("tensorflow", "tf-keras", "matplotlib")),
    ("export", ("tensorflow", "tf-keras", "onnx", "tf2onnx", "ai-edge-litert", "onnxruntime")),
    ("verify, bench", ("ai-edge-litert", "onnxruntime")),
    ("generate, compress, score, explore", ("ai-edge-litert", "onnxruntime")),
    ("bench of the original", ("tensorflow", "tf-keras")),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: the command has no options of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Prints what is installed and which commands work; returns 3 if verify and bench do not."""
    versions = {package: _version(package, module) for package, module, _, _ in _PACKAGES}
    with Terminal(quiet=arguments.quiet) as terminal:
        terminal.line(f"pocketvae {_version('pocketvae', 'pocketvae')}, Python {platform.python_version()}")
        terminal.line(f"{platform.system()} {platform.machine()}, {os.cpu_count()} logical cores")
        rows = [
            [package, versions[package] or "missing", purpose, "" if versions[package] else install_command(extra)]
            for package, _, purpose, extra in _PACKAGES
        ]
        terminal.table(["package", "version", "for", "to install"], rows)
        states = {name: [package for package in needs if not versions[package]] for name, needs in _COMMANDS}
        rows = [[name, f"missing {', '.join(lacks)}" if lacks else "works"] for name, lacks in states.items()]
        terminal.table(["command", "here"], rows)
        if not states["verify, bench"]:
            _show_targets(terminal)
    return 3 if states["verify, bench"] else 0


def _show_targets(terminal: Terminal) -> None:
    from pocketvae.benchmarks.targets import known_targets, make_target

    targets = [make_target(name) for name in known_targets()]
    terminal.table(["target", "here"], [[target.name, target.unavailable() or "works"] for target in targets])


def _version(package: str, module: str) -> str | None:
    # A distribution can be listed while its module is missing, and in a source tree the other way round.
    spec = importlib.util.find_spec(module)
    # An uninstalled package may leave a folder, in which Python sees a module without a file.
    if spec is None or spec.origin is None:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
