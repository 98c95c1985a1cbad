"""Answers that are kept while a run over a connection lasts, so that a lost one costs nothing that was done."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from pocketvae.benchmarks.remote.channel import Channel
from pocketvae.processes.line_process import LineProcessError
from pocketvae.system.files import sha256_bytes, write_text

# What ssh itself ends with; any other code is that of the program at the other end.
_CONNECTION_LOST = 255
_PAUSES_S = (1.0, 4.0)


class ResponseCache:
    """A channel that keeps every answer to a job, and tries again when the connection is lost.

    An answer is kept for what answered the greeting alone: a machine that has other versions by now is asked again.
    """

    def __init__(self, channel: Channel, folder: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Opens the answers that an earlier, broken run has left.

        Args:
            channel: Over a connection; closed with this.
            folder: Of the answers; removed by a run that ends well.
            pause: Waits so many seconds before the connection is tried again.
        """
        self._channel, self._folder, self._pause = channel, folder, pause
        self._lost: LineProcessError | None = None
        self._greeting, self._is_closed = "", False

    def ask(self, line: str, time_limit_s: float) -> str:
        """See `Channel.ask`; a job that has an answer is not sent again."""
        if '"job": null' in line:
            self._greeting = self._send(line, time_limit_s)
            return self._greeting
        kept = self._folder / f"{sha256_bytes(f'{self._greeting}{line}'.encode())}.json"
        if kept.is_file():
            return kept.read_text("utf-8")
        answer = self._send(line, time_limit_s)
        # What is missing there may have come by the next run.
        if '"missing": true' not in answer:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(kept, answer)
        return answer

    def close(self) -> None:
        """See `Channel.close`; the answers stay when the connection was lost."""
        if self._is_closed:
            return
        self._is_closed = True
        self._channel.close()
        if not self.is_lost:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def is_lost(self) -> bool:
        """Whether the connection was lost and did not come back."""
        return self._lost is not None

    def _send(self, line: str, time_limit_s: float) -> str:
        if self._lost is not None:
            raise self._lost
        for pause_s in (*_PAUSES_S, None):
            try:
                return self._channel.ask(line, time_limit_s)
            except LineProcessError as e:
                if e.code != _CONNECTION_LOST:
                    raise
                if pause_s is None:
                    self._lost = LineProcessError(self._say(e), e.code)
                    raise self._lost from e
            self._pause(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _say(self, error: LineProcessError) -> str:
        count = len(list(self._folder.glob("*.json"))) if self._folder.is_dir() else 0
        kept = f"{count} results are kept, and the same command goes on from there" if count else "run it again"
        reason = str(error).partition(": ")[2] or str(error)
        return f"the connection was lost: {reason}; {kept}"
