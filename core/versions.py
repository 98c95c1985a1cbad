"""Versions of the packages that decide what an artifact looks like."""

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
    """Returns package name to version for those packages that are installed."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
