"""Where a browser of the Chromium family lies: on the path, or where macOS and Windows keep programs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_APPS = ("Google Chrome", "Chromium", "Microsoft Edge")
_WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
_WINDOWS_PROGRAMS = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)


def find_chromium() -> str | None:
    """Returns the path of a browser; None where there is none."""
    on_path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return on_path or next((str(place) for place in _places() if place.is_file()), None)


def _places() -> list[Path]:
    if sys.platform == "darwin":
        folders = (Path("/Applications"), Path.home() / "Applications")
        return [folder / f"{app}.app/Contents/MacOS/{app}" for folder in folders for app in _MAC_APPS]
    if sys.platform == "win32":
        names = [os.environ[name] for name in _WINDOWS_FOLDERS if name in os.environ]
        return [Path(name, program) for program in _WINDOWS_PROGRAMS for name in names]
    return []
