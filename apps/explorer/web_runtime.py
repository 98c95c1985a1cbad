"""The runtime in the browser: onnxruntime-web, downloaded once with npm and kept in a cache folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.system import files, folders
from pocketvae.system.cache import cache_folder
from pocketvae.system.tools import npm
from pocketvae.system.tools.npm import ONNXRUNTIME_WEB_VERSION

DOWNLOAD_MB = 33
# The two files of the package that a page needs without threads or a GPU, with their SHA-256.
RUNTIME_FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_PACKAGE = f"onnxruntime-web@{ONNXRUNTIME_WEB_VERSION}"
_SETUP = "run pocketvae explore --setup"


def runtime_directory() -> Path:
    """Returns this version's folder in the user's cache."""
    return cache_folder() / f"onnxruntime-web-{ONNXRUNTIME_WEB_VERSION}"


def runtime_files() -> dict[str, Path]:
    """Returns the path of each file of the runtime by name.

    Raises:
        TargetError: it is not set up, or a file is not the published one.
    """
    folder = runtime_directory()
    paths = {name: folder / name for name in RUNTIME_FILES}
    for name, path in paths.items():
        if not path.is_file():
            raise TargetError(f"{_PACKAGE} is not set up, {path} is missing: {_SETUP}")
        if files.sha256_file(path) != RUNTIME_FILES[name]:
            raise TargetError(f"{path} is damaged: delete it and {_SETUP}")
    return paths


def set_up_runtime() -> Path:
    """Downloads the package with npm, checks its two files and keeps them; returns their folder.

    Raises:
        TargetError: npm is missing or fails, or the downloaded package is not the published one.
    """
    if shutil.which("npm") is None:
        raise TargetError("npm is not installed: install Node.js, or copy the runtime from a machine that has it")
    final = runtime_directory()
    final.parent.mkdir(parents=True, exist_ok=True)
    contents = npm.read_published(_PACKAGE, {f"dist/{name}": sha256 for name, sha256 in RUNTIME_FILES.items()})
    with folders.staged_directory(final, force=final.exists()) as staging:
        for path, content in contents.items():
            files.write_bytes(staging / path.removeprefix("dist/"), content)
    return final
