"""Versions of the packages that determine how artifacts are made."""

from __future__ import annotations

from importlib import metadata

_PACKAGES = (
    "ai-edge-litert",
    "keras",
    "numpy",
    "onnx",
    "onnxruntime",
    "pocketvae",
    "tensorflow",
    "tf-keras",
    "tf2onnx",
)


def installed_versions() -> dict[str, str]:
    """Returns the versions of the installed packages by name."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
