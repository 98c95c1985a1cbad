"""Responses that are kept while a run over a connection lasts, so that a lost one costs nothing that was done."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pocketvae.benchmarks.remote.messages import Method
from pocketvae.errors import ChannelError, OutputExistsError, TargetError
from pocketvae.processes.envelope import Request, Response, decode, encode
from pocketvae.processes.failures import is_passing
from pocketvae.processes.rpc import Channel
from pocketvae.system import leftovers
from pocketvae.system.files import sha256_bytes, write_bytes, write_text
from pocketvae.system.folders import claimed_directory

# What ssh itself ends with, also where a signal ends the program at the other end; any other code is the program's.
_CONNECTION_LOST = 255
_PAUSES_S = (1.0, 4.0)
_SUFFIX, _TOKEN = ".response", "token"
_NULL = subprocess.DEVNULL


class ResponseCache:
    """A channel that keeps every response to a job, and tries again when the connection is lost.

    A response counts for the greeting that came before it: a machine that has other versions by now is asked again.
    """

    def __init__(self, channel: Channel, folder: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Opens the responses that an earlier, broken run has left.

        Args:
            channel: Over a connection; closed with this.
            folder: Of the responses; removed by a run that ends well.
            pause: Waits so many seconds before the connection is tried again.
        """
        self._channel, self._folder, self._pause = channel, folder, pause
        self._lost: ChannelError | None = None
        self._greeting, self._is_closed = b"", False

    def ask(self, request: Request, time_limit_s: float) -> Response:
        """See `Channel.ask`; a job that has a response is not sent again."""
        if request.method == Method.FACTS:
            response = self._send(request, time_limit_s)
            self._greeting = encode(replace(response, id=0))
            return response
        kept = self._folder / f"{sha256_bytes(self._greeting + encode(replace(request, id=0)))}{_SUFFIX}"
        if kept.is_file():
            return replace(decode(Response, kept.read_bytes()), id=request.id)
        response = self._send(request, time_limit_s)
        # What is missing there may have come by the next run.
        if response.error is None or not is_passing(response.error):
            # A response is here, whether or not the disk takes it for another run.
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                write_bytes(kept, encode(response))
        return response

    def close(self) -> None:
        """See `Channel.close`; the responses stay when the connection was lost."""
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

    def _send(self, request: Request, time_limit_s: float) -> Response:
        if self._lost is not None:
            raise self._lost
        for pause_s in (*_PAUSES_S, None):
            try:
                return self._channel.ask(request, time_limit_s)
            except ChannelError as e:
                if e.code != _CONNECTION_LOST:
                    raise
                if pause_s is None:
                    if self._is_there(request, time_limit_s):
                        said = str(e).partition(": ")[2]
                        how = "its process there ended without an answer, most likely by a signal"
                        raise ChannelError(f"{how}: {said}" if said else how) from e
                    self._lost = ChannelError(self._say(e), e.code)
                    raise self._lost from e
            self._pause(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _is_there(self, request: Request, time_limit_s: float) -> bool:
        """Whether the other end still answers, so that it was the job that ended its program."""
        if request.method == Method.FACTS:
            return False
        try:
            self._channel.ask(replace(request, method=Method.FACTS, params=None, block=b""), time_limit_s)
        except ChannelError:
            return False
        return True

    def _say(self, error: ChannelError) -> str:
        count = len(list(self._folder.glob(f"*{_SUFFIX}"))) if self._folder.is_dir() else 0
        kept = f"{count} results are kept, and the same command continues from there" if count else "run it again"
        reason = str(error).partition(": ")[2] or str(error)
        return f"the connection was lost: {reason}; {kept}"


def claim_answers(held: contextlib.ExitStack, answers: Path, machine: str) -> None:
    """Makes a folder of responses that is this process's alone as long as it is held.

    Args:
        held: Ends the claim.
        answers: The folder.
        machine: Where the bundle runs, for the error.

    Raises:
        TargetError: another process has it.
    """
    try:
        held.enter_context(claimed_directory(answers))
    except OutputExistsError as e:
        raise TargetError(f"another pocketvae is running this bundle on {machine}: wait until it ends") from e


@contextlib.contextmanager
def copies_removed(answers: Path, command: Sequence[str]) -> Iterator[None]:
    """Has a program remove the copies at the other end if this process ends within the block, too soon to do it itself.

    The program goes on in a session that the terminal's signals do not reach. The next run makes copies of its own.

    Args:
        answers: Folder of the responses.
        command: Removes the copies.
    """

    def settle() -> None:
        (answers / _TOKEN).unlink(missing_ok=True)
        subprocess.Popen(command, stdin=_NULL, stdout=_NULL, stderr=_NULL, start_new_session=True)

    number = leftovers.register(settle)
    try:
        yield
    finally:
        leftovers.forget(number)


def answers_token(answers: Path) -> str:
    """Returns what tells this user's copies from those of another machine; a resumed run has the same."""
    path = answers / _TOKEN
    if not path.is_file():
        write_text(path, secrets.token_hex(4))
    return path.read_text("utf-8")
