"""Progress of long work below a cell of a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from typing import Any

from pocketvae.errors import TargetError
from pocketvae.progress import Progress

# Of updates; more often than that nobody sees them, and each is a message to the browser.
_EVERY_S = 0.2


class NotebookProgress:
    """Shows one line: the stage, a bar, and how long the rest will take. Pass it as `progress`."""

    def __init__(self) -> None:
        """Begins with nothing shown.

        Raises:
            TargetError: IPython is not installed.
        """
        try:
            from IPython.display import HTML, display
        except ImportError as e:
            raise TargetError("IPython is not installed: pip install ipykernel, or pass another progress") from e
        self._html: Callable[[str], Any] = HTML
        self._display: Callable[..., Any] = display
        self._handle: Any = None
        self._stage, self._began, self._shown = "", 0.0, 0.0

    def __call__(self, step: Progress) -> None:
        """Shows a step."""
        now = time.monotonic()
        if step.stage != self._stage:
            self._stage, self._began = step.stage, now
        elif now - self._shown < _EVERY_S and step.done < step.total:
            return
        self._shown = now
        content = self._html(line(step, now - self._began))
        if self._handle is None:
            self._handle = self._display(content, display_id=True)
        else:
            self._handle.update(content)


def line(step: Progress, elapsed_s: float) -> str:
    """Returns a step as HTML.

    Args:
        step: What was done.
        elapsed_s: Since its stage began.
    """
    left = ""
    if 0 < step.done < step.total:
        left = f", about {_duration(elapsed_s * (step.total - step.done) / step.done)} left"
    name = escape(step.stage)
    bar = f'<progress value="{step.done}" max="{max(step.total, 1)}" aria-label="{name}"></progress>'
    return f"{name} {bar} {step.done}/{step.total}{left} {escape(step.detail)}".rstrip()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
