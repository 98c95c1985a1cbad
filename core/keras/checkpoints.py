"""TensorFlow's checkpoints: weights in several files of one prefix, which are recognised by any of them."""

from __future__ import annotations

import re
from pathlib import Path

_LIST = "checkpoint"
_INDEX = ".index"
_SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")
_LATEST = re.compile(r'^model_checkpoint_path:\s*"([^"]+)"', re.MULTILINE)
_MOST_BYTES = 1 << 20


def checkpoint_prefix(path: Path) -> Path | None:
    """Returns the prefix by which TensorFlow loads a checkpoint; None if the path does not belong to one.

    Args:
        path: The prefix itself, one of its files, the file `checkpoint` that names the latest one, or their folder.
    """
    if path.is_dir():
        found = sorted(path.glob(f"*{_INDEX}"))
        latest = _latest(path / _LIST)
        return latest or (found[0].with_suffix("") if len(found) == 1 else None)
    if path.name == _LIST and path.is_file():
        return _latest(path)
    stem = path.name.removesuffix(_INDEX) if path.name.endswith(_INDEX) else _SHARD.sub("", path.name)
    return path.with_name(stem) if _has_index(path.with_name(stem)) else None


def _latest(path: Path) -> Path | None:
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return None
    found = _LATEST.search(path.read_text(encoding="utf-8", errors="replace"))
    # A name alone: a path could lead anywhere on this machine.
    prefix = path.with_name(Path(found[1]).name) if found and Path(found[1]).name else None
    return prefix if prefix is not None and _has_index(prefix) else None


def _has_index(prefix: Path) -> bool:
    return prefix.with_name(f"{prefix.name}{_INDEX}").is_file()
