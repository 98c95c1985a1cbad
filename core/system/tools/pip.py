"""Python packages for a target, from the index of this machine's pip."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.system.temporary import temporary_directory
from pocketvae.system.tools.setup import run_tool

_PIP = (sys.executable, "-Pm", "pip", "--disable-pip-version-check", "--no-input", "--quiet")


def install_here(folder: Path, requirements: Sequence[str]) -> None:
    """Installs packages for this interpreter into a folder, without what they depend on.

    Raises:
        TargetError: a package cannot be had.
    """
    command = [*_PIP, "install", "--no-deps", "--only-binary=:all:", "--target", str(folder), *requirements]
    run_tool(command, f"installing {', '.join(requirements)}")


def unpack_foreign(folder: Path, requirements: Sequence[str], *, machine: str, python: str) -> None:
    """Downloads the wheels of packages, and of what they depend on, for another machine and unpacks them.

    Args:
        folder: Where to.
        requirements: As given to pip.
        machine: For example `aarch64`.
        python: The interpreter there, for example `3.11`.

    Raises:
        TargetError: a package has no wheel for that machine, or a wheel is of another one.
    """
    # The tags that Debian 12's C library can load; pip does not derive the older ones for a foreign platform.
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [f"manylinux2014_{machine}"]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    with temporary_directory() as wheels:
        command = [*_PIP, "download", "--only-binary=:all:", "--python-version", python, "--dest", str(wheels)]
        run_tool([*command, *platforms, *requirements], f"downloading {machine} wheels")
        for wheel in sorted(wheels.glob("*.whl")):
            unpack_wheel(wheel, folder, machine)


def unpack_wheel(wheel: Path, folder: Path, machine: str) -> None:
    """Unpacks a wheel that has to run on `machine`.

    Raises:
        TargetError: it is for another machine, or is not a wheel.
    """
    platform = wheel.stem.split("-")[-1]
    if platform != "any" and not platform.endswith(f"_{machine}"):
        raise TargetError(f"{wheel.name} is for {platform}, but the target is {machine}: get the wheel for {machine}")
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except zipfile.BadZipFile as e:
        raise TargetError(f"{wheel.name} is damaged: {e}") from e
