"""How this pocketvae was installed, and so how more of its packages are."""

from __future__ import annotations

import json
from importlib import metadata
from urllib.parse import unquote, urlsplit


def install_command(extra: str = "") -> str:
    """Returns the command that installs the packages of an extra.

    A package that came from an index can be had from there. One that was installed from a checkout or a wheel cannot,
    so the command names that place.

    Args:
        extra: Such as `run`; empty for pocketvae alone.
    """
    source = _source()
    what = f"{source or 'pocketvae'}[{extra}]" if extra else source or "pocketvae"
    return f"pip install '{what}'" if source or extra else f"pip install {what}"


def _source() -> str:
    """Returns the folder, wheel or repository that this pocketvae was installed from; empty for an index."""
    try:
        stated = metadata.distribution("pocketvae").read_text("direct_url.json")
        url = json.loads(stated or "{}").get("url", "")
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else url
