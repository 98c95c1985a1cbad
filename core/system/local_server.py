"""A server for browsers on this machine only: what it may be asked for, and with which headers it answers."""

from __future__ import annotations

import http.server
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath

HOST = "127.0.0.1"
_HTTP_PORT = 80
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
}
_BYTES = "application/octet-stream"
_HEADERS = {
    # Without cross-origin isolation a page gets no threads, and a clock of 100 µs in place of 5 µs.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is sent.

    Attributes:
        data: All of it, or pieces that come over time.
        type: Its media type.
        status: Of the answer.
    """

    data: bytes | Iterator[bytes]
    type: str = _BYTES
    status: HTTPStatus = HTTPStatus.OK

    @classmethod
    def of(cls, name: str, data: bytes) -> Content:
        """Returns the content of a file, whose name says of what type it is."""
        return cls(data=data, type=_TYPES.get(PurePosixPath(name).suffix, _BYTES))

    @classmethod
    def read(cls, path: Path) -> Content:
        """Reads a file."""
        return cls.of(path.name, path.read_bytes())


class LocalServer(http.server.ThreadingHTTPServer):
    """Listens on 127.0.0.1 and serves what its owner returns for a name."""

    daemon_threads = True
    # Two servers on one port would take turns answering.
    allow_reuse_port = False

    def __init__(
        self,
        get: Callable[[str], Content | None],
        *,
        port: int = 0,
        secret: str = "",
        headers: Mapping[str, str] | None = None,
        post: Callable[[str, str, bytes], bool] | None = None,
        largest_post_bytes: int = 0,
    ) -> None:
        """Listens; `serve_forever` answers.

        Args:
            get: Returns the content of a name, the path without its first slash; None where there is none.
            port: 0 for any that is free.
            secret: What a path has to begin with; it keeps other programs of this machine away.
            headers: To add to every answer.
            post: Takes a name, the query and a body; False where there is nothing of that name.
            largest_post_bytes: Of a body.

        Raises:
            OSError: the port is in use, or this user may not use it.
        """
        self.get, self.post, self.largest_post_bytes = get, post, largest_post_bytes
        self.secret, self.headers = secret, {**_HEADERS, **(headers or {})}
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """What the names follow in a browser."""
        return f"http://{HOST}:{self.server_port}/" + (f"{self.secret}/" if self.secret else "")

    @property
    def own_hosts(self) -> set[str]:
        """What a browser calls this server."""
        hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}
        # Browsers leave out the default port.
        return hosts | {HOST, "localhost"} if self.server_port == _HTTP_PORT else hosts

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores a browser that closes the connection early, as happens whenever a page is left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: LocalServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Sends a content."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Sends what a content would come with."""
        self._answer(body=False)

    def do_POST(self) -> None:
        """Takes a body."""
        name, length = self._name(), self.headers.get("Content-Length", "")
        if name is None:
            return
        if not length.isdecimal() or int(length) > self.server.largest_post_bytes:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        query, body = self.path.partition("?")[2], self.rfile.read(int(length))
        if self.server.post is not None and self.server.post(name, query, body):
            self._send_head(Content(data=b"", status=HTTPStatus.NO_CONTENT))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing: the terminal belongs to the command."""

    def _answer(self, *, body: bool) -> None:
        name = self._name()
        if name is None:
            return
        content = self.server.get(name)
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._send_head(content)
        if body:
            for piece in [content.data] if isinstance(content.data, bytes) else content.data:
                self.wfile.write(piece)

    def _name(self) -> str | None:
        """Returns what is asked for; None, with an error sent, for a request that must not be answered."""
        # A page under another host name that resolves to this machine must not read anything here.
        if self.headers.get("Host", "") not in self.server.own_hosts:
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        # Only the path, whatever it looks like: urlsplit would take //[ for the start of an address.
        name = self.path.partition("?")[0].partition("#")[0].lstrip("/")
        if not self.server.secret:
            return name
        secret, _, name = name.partition("/")
        if not secrets.compare_digest(secret.encode(), self.server.secret.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return name

    def _send_head(self, content: Content) -> None:
        self.send_response(content.status)
        for key, value in self.server.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Type", content.type)
        if isinstance(content.data, bytes):
            self.send_header("Content-Length", str(len(content.data)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
