"""How this pocketvae was installed, and so how more of its packages are."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def install_command(extra: str = "") -> str:
    """Returns the command that installs the packages of an extra.

    A package that came from an index can be had from there. One that was installed from a checkout or a wheel cannot,
    so the command names that place.

    Args:
        extra: Such as `run`; empty for pocketvae alone.
    """
    source = _source()
    if extra and _is_address(source):
        what = f"pocketvae[{extra}] @ {source}"
    else:
        what = f"{source or 'pocketvae'}[{extra}]" if extra else source or "pocketvae"
    return f"pip install '{what}'" if source or extra else f"pip install {what}"


def python_path(site: Path) -> str:
    """Returns PYTHONPATH for a child of this Python that finds a folder's packages before all others.

    What this process has in it stays: pocketvae itself may come from there.

    Args:
        site: The folder.
    """
    return os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))


def _source() -> str:
    """Returns the folder, wheel or repository that this pocketvae was installed from; empty for an index."""
    try:
        stated: Any = json.loads(metadata.distribution("pocketvae").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    url, repository, subfolder = stated.get("url", ""), stated.get("vcs_info"), stated.get("subdirectory")
    if repository:
        place = f"#subdirectory={subfolder}" if subfolder else ""
        return f"{repository['vcs']}+{url}@{repository['commit_id']}{place}"
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else url


def _is_address(source: str) -> bool:
    return "://" in source
