"""This pocketvae as a wheel, which another machine or an emulated one imports."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

import pocketvae
from pocketvae.version import VERSION

# What runs, verifies and times; training and the embedded images stay at home.
_LEFT_OUT = frozenset({"__pycache__", "demo", "export", "mnist", "train"})
_DIST_INFO = f"pocketvae-{VERSION}.dist-info"
# Zip archives know no earlier time; a fixed one makes the same sources the same wheel.
_TIME = (1980, 1, 1, 0, 0, 0)

WHEEL_NAME = f"pocketvae-{VERSION}-py3-none-any.whl"


@cache
def wheel_bytes() -> bytes:
    """Returns a wheel of the package as it is imported here; the same sources give the same bytes."""
    package = Path(pocketvae.__file__).parent
    files = {f"pocketvae/{path.relative_to(package).as_posix()}": path.read_bytes() for path in _sources(package)}
    files[f"{_DIST_INFO}/METADATA"] = metadata.distribution("pocketvae").read_text("METADATA").encode()  # type: ignore[union-attr]
    files[f"{_DIST_INFO}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: pocketvae\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{_DIST_INFO}/RECORD"] = f"{record}{_DIST_INFO}/RECORD,,\n".encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in files.items():
            wheel.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _sources(package: Path) -> list[Path]:
    found = []
    for path in sorted(package.rglob("*")):
        parts = path.relative_to(package).parts
        if path.is_file() and not _LEFT_OUT & set(parts) and path.suffix != ".pyc":
            found.append(path)
    return found


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
