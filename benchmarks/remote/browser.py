"""A browser as a channel: a server on this machine, and a browser that shows its page.

The page fetches requests and posts responses, so nothing of the browser has to be driven from outside.
Playwright with the same flags gives the same times per call, but its driver is a Node.js of 165 MB that holds 116 MB of
memory beside what is timed and takes 2.3 s longer to start.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from pocketvae.benchmarks.remote.scripts import script_bytes
from pocketvae.benchmarks.remote.watcher import Watcher, end_group
from pocketvae.errors import ChannelError
from pocketvae.processes.envelope import LARGEST_BLOCK_BYTES, Request, Response, decode, encode
from pocketvae.processes.line_process import cannot_start
from pocketvae.processes.rpc import unreadable
from pocketvae.system.files import is_inside, write_text
from pocketvae.system.local_server import Content, LocalServer

_PAGES = ("page.html", "page.mjs", "samples.mjs", "envelope.mjs")
_POLL_S = 0.1
_LONG_POLL_S = 20.0
_HEARTBEAT_S = 0.5
# A page that is loaded anew has no heartbeat for a moment.
_SILENCE_S = 5.0
_START_S = 30.0
# Looks are further apart than this only where this process itself was stopped: Ctrl-Z, a frozen container.
_STALL_S = 1.0
_START_PAGE = '<!doctype html>\n<meta http-equiv="refresh" content="0; url={address}">\n'
_END_GRACE_S = 5.0


class Mailbox:
    """Where a request lies until its response comes; shared by the server's threads and the one that asks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._request: Request | None = None
        self._response = b""
        self._browser, self._last_sign_s = 0, 0.0

    def put(self, request: Request) -> None:
        """Lays a request down."""
        with self._changed:
            self._request, self._response = request, b""
            self._changed.notify_all()

    def request(self, time_limit_s: float) -> bytes:
        """Returns the request that waits, as it is sent; nothing where none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._request, time_limit_s)
            return encode(self._request) if self._request else b""

    def respond(self, request_id: int, response: bytes) -> None:
        """Takes a response; one to an earlier request is dropped."""
        with self._changed:
            if self._request and request_id == self._request.id:
                self._request, self._response = None, response
                self._changed.notify_all()

    def expect(self, start_s: float) -> None:
        """Counts another browser, whose silence is allowed for so long; signs of earlier ones no longer count."""
        with self._changed:
            self._browser += 1
            self._last_sign_s = time.monotonic() + start_s

    @property
    def browser(self) -> int:
        """The number of the browser that is expected."""
        return self._browser

    def sign(self, browser: int) -> None:
        """Takes a sign of life of a browser."""
        with self._changed:
            if browser == self._browser:
                self._last_sign_s = time.monotonic()

    def excuse(self, gap_s: float) -> None:
        """Leaves out a time in which nobody could listen."""
        with self._changed:
            self._last_sign_s += gap_s

    def silence_s(self) -> float:
        """Returns how long ago the last sign of life was; below 0 while a browser may start."""
        return time.monotonic() - self._last_sign_s

    def wait(self, time_limit_s: float) -> bytes | None:
        """Returns the response as it was sent; None where there is none yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._response, time_limit_s)
            return self._response or None


class Browser:
    """Starts the browser at the first request, and again after it has ended."""

    def __init__(self, command: Sequence[str], modules: Path, artifacts: Mapping[str, Path]) -> None:
        """Starts the server.

        Args:
            command: The browser with its options; the profile and the first page are added.
            modules: The folder `node_modules`.
            artifacts: Name to file, of what the page may fetch.
        """
        self._command = list(command)
        self.mailbox = Mailbox()
        self._profile: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None
        self._modules, self._artifacts = modules.resolve(), artifacts
        self._server = LocalServer(
            self._content,
            secret=secrets.token_urlsafe(16),
            post=self._take,
            largest_post_bytes=LARGEST_BLOCK_BYTES,
        )
        self._address = f"{self._server.address}page.html"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": _POLL_S}, daemon=True).start()

    def ask(self, request: Request, time_limit_s: float) -> Response:
        """See `Channel.ask`."""
        self.mailbox.put(request)
        process = self._process or self._start()
        looked = time.monotonic()
        deadline = looked + time_limit_s
        while (response := self.mailbox.wait(_POLL_S)) is None:
            gap_s = time.monotonic() - looked
            looked += gap_s
            if gap_s > _STALL_S:
                deadline += gap_s
                self.mailbox.excuse(gap_s)
            problem = self._problem(process, deadline, time_limit_s)
            if problem:
                self._end()
                raise ChannelError(problem)
        try:
            return decode(Response, response)
        except (ValueError, EOFError) as e:
            raise unreadable(e) from e

    def close(self) -> None:
        """See `Channel.close`."""
        self._end()
        self._server.shutdown()
        self._server.server_close()

    def _content(self, name: str) -> Content | None:
        """Returns pages, runtimes, artifacts and requests."""
        folder, _, rest = name.partition("/")
        if name == "request":
            request = self.mailbox.request(_LONG_POLL_S)
            return Content(data=request, status=HTTPStatus.OK if request else HTTPStatus.NO_CONTENT)
        if name == "alive":
            return Content(data=self._heartbeats())
        if name in _PAGES:
            return Content.of(name, script_bytes(name))
        if folder == "bundle" and rest in self._artifacts:
            return Content(data=self._artifacts[rest].read_bytes())
        if folder == "modules" and is_inside(rest) and (self._modules / rest).is_file():
            return Content.read(self._modules / rest)
        return None

    def _take(self, name: str, query: str, body: bytes) -> bool:
        """Takes a response."""
        number = query.removeprefix("id=")
        if name != "response" or not number.isdecimal():
            return False
        self.mailbox.respond(int(number), body)
        return True

    def _heartbeats(self) -> Iterator[bytes]:
        """Yields a byte now and then; when the page has crashed, it can no longer be sent."""
        browser = self.mailbox.browser
        while True:
            yield b"."
            self.mailbox.sign(browser)
            time.sleep(_HEARTBEAT_S)

    def _problem(self, process: subprocess.Popen[bytes], deadline: float, time_limit_s: float) -> str:
        code, now = process.poll(), time.monotonic()
        if code is not None:
            return f"the browser was ended by signal {-code}" if code < 0 else f"the browser ended with code {code}"
        if self.mailbox.silence_s() > _SILENCE_S and now < deadline:
            return "the browser's page has crashed"
        return f"it took longer than {time_limit_s:g} s and was ended" if now > deadline else ""

    def _start(self) -> subprocess.Popen[bytes]:
        self._profile = Path(tempfile.mkdtemp(prefix="pocketvae-browser-"))
        # The address is a secret, and the arguments of a program are none.
        start = self._profile / "start.html"
        write_text(start, _START_PAGE.format(address=self._address))
        # A browser may take a while to start; silence counts from when it should have.
        self.mailbox.expect(_START_S)
        try:
            self._process = subprocess.Popen(
                [*self._command, f"--user-data-dir={self._profile}", start.as_uri()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as e:
            self._end()
            raise cannot_start(self._command, e) from e
        self._watcher = Watcher(self._process.pid, self._profile)
        return self._process

    def _end(self) -> None:
        """Ends the browser with all its processes and removes its profile."""
        process, self._process = self._process, None
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.release()
        if process is not None:
            for force in (False, True):
                if _end_group(process, force=force):
                    break
        if self._profile is not None:
            shutil.rmtree(self._profile, ignore_errors=True)
            self._profile = None


def _end_group(process: subprocess.Popen[bytes], *, force: bool) -> bool:
    """Ends a process with its children, or asks them to end; True when they have."""
    try:
        end_group(process.pid, force=force)
    except ProcessLookupError:
        process.wait()
        return True
    try:
        process.wait(_END_GRACE_S)
    except subprocess.TimeoutExpired:
        return False
    return False  # the leader has ended; its children get the next signal too
