"""A browser as something that answers: a server on this machine, and a browser that shows its page.

The page fetches questions and posts answers, so nothing of the browser has to be driven from outside.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pocketvae.benchmarks.remote.scripts import script_bytes
from pocketvae.benchmarks.remote.watcher import Watcher
from pocketvae.processes.line_process import LineProcessError, cannot_start
from pocketvae.system.files import is_inside, write_text

_PAGES = ("page.html", "page.mjs", "samples.mjs")
_TYPES = {".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm"}
# Without these two a page gets no threads, and a clock of 100 in place of 5 microseconds.
_ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
_POLL_S = 0.1
_LONG_POLL_S = 20.0
_HEARTBEAT_S = 0.5
# A page that is loaded anew has no heartbeat for a moment.
_SILENCE_S = 5.0
_START_S = 30.0
# Looks are further apart than this only where this process itself was stopped: Ctrl-Z, a frozen container.
_STALL_S = 1.0
_LONGEST_ANSWER_BYTES = 1 << 30
_START_PAGE = '<!doctype html>\n<meta http-equiv="refresh" content="0; url={address}">\n'
_END_GRACE_S = 5.0


class Mailbox:
    """Where questions lie until they are answered; shared by the server's threads and the one that asks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number, self._question, self._answer = 0, "", ""
        self._browser, self._last_sign_s = 0, 0.0

    def put(self, question: str) -> None:
        """Lays a question down."""
        with self._changed:
            self._number, self._question, self._answer = self._number + 1, question, ""
            self._changed.notify_all()

    def question(self, time_limit_s: float) -> str | None:
        """Returns the question that waits, with its number; None where none comes in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._question, time_limit_s):
                return None
            return f'{{"id": {self._number}, "question": {self._question}}}'

    def answer(self, number: int, answer: str) -> None:
        """Takes an answer; one to an earlier question is dropped."""
        with self._changed:
            if number == self._number and self._question:
                self._question, self._answer = "", answer
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

    def wait(self, time_limit_s: float) -> str | None:
        """Returns the answer; None where there is none yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._answer, time_limit_s)
            return self._answer or None


class Browser:
    """Starts the browser at the first question, and again after it has ended."""

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
        # The secret keeps other programs of this machine away from the questions.
        secret = secrets.token_urlsafe(16)
        self._server = _Server(self.mailbox, modules, artifacts, secret)
        self._address = f"http://127.0.0.1:{self._server.server_port}/{secret}/page.html"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": _POLL_S}, daemon=True).start()

    def ask(self, line: str, time_limit_s: float) -> str:
        """See `Channel.ask`."""
        self.mailbox.put(line)
        process = self._process or self._start()
        looked = time.monotonic()
        deadline = looked + time_limit_s
        while (answer := self.mailbox.wait(_POLL_S)) is None:
            gap_s = time.monotonic() - looked
            looked += gap_s
            if gap_s > _STALL_S:
                deadline += gap_s
                self.mailbox.excuse(gap_s)
            problem = self._problem(process, deadline, time_limit_s)
            if problem:
                self._end()
                raise LineProcessError(problem)
        return answer

    def close(self) -> None:
        """See `Channel.close`."""
        self._end()
        self._server.shutdown()
        self._server.server_close()

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
            for number in (signal.SIGTERM, signal.SIGKILL):
                if _signal_group(process, number):
                    break
        if self._profile is not None:
            shutil.rmtree(self._profile, ignore_errors=True)
            self._profile = None


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Sends a signal to a process with its children; True when it has ended."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        process.wait()
        return True
    try:
        process.wait(_END_GRACE_S)
    except subprocess.TimeoutExpired:
        return False
    return False  # the leader has ended; its children get the next signal too


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, mailbox: Mailbox, modules: Path, artifacts: Mapping[str, Path], secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mailbox, self.modules, self.artifacts, self.secret = mailbox, modules.resolve(), artifacts, secret

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error here."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serves pages, runtimes, artifacts and questions."""
        name = self._name()
        if name == "question":
            self._send_question()
        elif name == "alive":
            self._stay_in_touch()
        else:
            self._send_content(name)

    def do_POST(self) -> None:
        """Takes an answer."""
        number, length = self.path.rpartition("id=")[2], self.headers.get("Content-Length", "")
        if self._name() != "answer" or not number.isdecimal():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        if not length.isdecimal() or int(length) > _LONGEST_ANSWER_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length)).decode("utf-8")
        self.server.mailbox.answer(int(number), json.dumps(json.loads(body)))
        self._send(HTTPStatus.NO_CONTENT, b"", "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet."""

    def _name(self) -> str:
        """Returns the path below the secret; empty for a request that does not know it."""
        secret, _, name = self.path.partition("?")[0].lstrip("/").partition("/")
        return name if secrets.compare_digest(secret.encode(), self.server.secret.encode()) else ""

    def _send_question(self) -> None:
        question = self.server.mailbox.question(_LONG_POLL_S)
        if question is None:
            self._send(HTTPStatus.NO_CONTENT, b"", "text/plain")
        else:
            self._send(HTTPStatus.OK, question.encode(), "application/json")

    def _stay_in_touch(self) -> None:
        """Sends a byte now and then; when the page has crashed, it can no longer be sent."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        browser = self.server.mailbox.browser
        while True:
            self.wfile.write(b".")
            self.server.mailbox.sign(browser)
            time.sleep(_HEARTBEAT_S)

    def _send_content(self, name: str) -> None:
        folder, _, rest = name.partition("/")
        if name in _PAGES:
            self._send(HTTPStatus.OK, script_bytes(name), _TYPES[Path(name).suffix])
        elif folder == "bundle" and rest in self.server.artifacts:
            self._send(HTTPStatus.OK, self.server.artifacts[rest].read_bytes(), "application/octet-stream")
        elif folder == "modules" and is_inside(rest) and (self.server.modules / rest).is_file():
            path = self.server.modules / rest
            self._send(HTTPStatus.OK, path.read_bytes(), _TYPES.get(path.suffix, "application/octet-stream"))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for header, value in _ISOLATION.items():
            self.send_header(header, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
