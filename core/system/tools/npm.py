"""npm packages for a target, from the registry of this machine's npm."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pocketvae.system.tools.setup import run_tool


def install(folder: Path, packages: Sequence[str], *, unwanted: Sequence[str] = ()) -> None:
    """Installs packages into a folder's `node_modules`; none of their scripts is run.

    Args:
        folder: Where to.
        packages: `NAME@VERSION`.
        unwanted: Patterns of files, relative to the folder, that are deleted again: binaries of other systems.

    Raises:
        TargetError: npm is not installed, or a package cannot be had.
    """
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-save", "--omit=dev")
    run_tool(("npm", "install", *options, "--prefix", str(folder), *packages), f"installing {', '.join(packages)}")
    for pattern in unwanted:
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
