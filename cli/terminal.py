"""Printing for all commands: results to stdout, progress and warnings to stderr."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pocketvae.bundle.demo import named
from pocketvae.cli.table_layout import joined, lay_out
from pocketvae.progress import Progress as Step

_PLAIN_INTERVAL_S = 10.0
_WIDE_COLUMNS = 240


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of progress in a log: of which stage, at which tenth of it, and when it was printed."""

    stage: str = ""
    tenth: int = 0
    printed: float = 0.0


class Terminal:
    """Prints for one command; a context manager that ends its progress bar."""

    def __init__(self, *, quiet: bool) -> None:
        """Opens both streams; a bar is shown only where stderr is a terminal."""
        self._out = _Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDE_COLUMNS, highlight=False)
        self._err = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._bar = self._make_bar() if self._err.is_terminal and not quiet else None
        self._tasks: dict[str, TaskID] = {}
        self._last = _Line()

    def step(self, step: Step) -> None:
        """Shows the progress of long work."""
        if self._quiet:
            return
        if self._bar is None:
            self._plain_step(step)
            return
        if not self._tasks:
            self._bar.start()
        if step.stage not in self._tasks:
            self._tasks[step.stage] = self._bar.add_task(step.stage, total=step.total, detail="")
        self._bar.update(self._tasks[step.stage], completed=step.done, total=step.total, detail=step.detail)

    def warn(self, text: str) -> None:
        """Prints a warning to stderr, even with --quiet."""
        self._err.print(Text(f"pocketvae: warning: {text}"), soft_wrap=True)

    def note(self, text: str) -> None:
        """Prints to stderr what is being done."""
        if not self._quiet:
            self._err.print(Text(text), soft_wrap=True)

    def next(self, *words: object) -> None:
        """Prints to stderr the command that usually comes next.

        Args:
            words: Of the command line, without the program's name.
        """
        self.note(f"next: pocketvae {shlex.join(map(named, words))}")

    def line(self, text: str) -> None:
        """Prints a line of the result."""
        self._out.print(Text(text), soft_wrap=True)

    def table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        title: str | None = None,
        less: Sequence[str] = (),
    ) -> None:
        """Prints a table of the result, laid out for the terminal's width.

        Args:
            headers: One a column.
            rows: The cells.
            title: Printed above.
            less: Headers of the columns to leave out first where the terminal is too narrow.
        """
        layout = lay_out(headers, rows, self._out.width, less)
        if title:
            self._out.print(Text(title, style="italic"), soft_wrap=True)
        self._out.print(Text(joined(layout.header), style="bold"), soft_wrap=True)
        for cells in layout.lines:
            line = Text("  ").join(_styled(cell) for cell in cells)
            line.rstrip()
            self._out.print(line, soft_wrap=True)
        for text in layout.below:
            self.line("\n".join(self._wrapped(text)))

    def _wrapped(self, text: str) -> list[str]:
        """Returns a text as lines of the terminal; in a file it is one, for other programs."""
        if not self._out.is_terminal:
            return [text]
        return textwrap.wrap(
            text, self._out.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None and self._tasks:
            if kind is None:
                self._end_stages()
            self._bar.stop()

    def _end_stages(self) -> None:
        """Shows the stages of a command that succeeded as done, those that ended early too, such as a training."""
        if self._bar is not None:
            for task in self._bar.tasks:
                self._bar.update(task.id, completed=task.total)

    def _make_bar(self) -> Progress:
        return Progress(
            # They move while a stage stands still.
            SpinnerColumn(finished_text=" "),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=self._err,
        )

    def _plain_step(self, step: Step) -> None:
        # A log file gets an occasional line, not a bar: when a stage begins, ends, or has run for a while.
        line = _Line(stage=step.stage, tenth=10 * step.done // max(1, step.total), printed=time.monotonic())
        if (
            self._last.stage == line.stage
            and step.done < step.total
            and (line.tenth == self._last.tenth or line.printed - self._last.printed < _PLAIN_INTERVAL_S)
        ):
            return
        self._last = line
        detail = f": {step.detail}" if step.detail else ""
        self._err.print(Text(f"{step.stage} {step.done}/{step.total}{detail}"), soft_wrap=True)


class _Console(Console):
    """A console for whose closed pipe the command goes on, to write its files and to return its own exit code.

    rich itself would end the process with exit code 1, which says of a verification that a check failed.
    """

    def on_broken_pipe(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def _styled(cell: str) -> Text:
    return Text(cell, style={"FAIL": "bold red", "pass": "green", "incomplete": "yellow"}.get(cell.strip(), ""))
