"""A server that shows a site to browsers on this machine only."""

from __future__ import annotations

import errno
import http.server
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from pocketvae.apps.explorer.site import INDEX
from pocketvae.errors import DataError, SpecError

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
_HEADERS = {
    # Cross-origin isolation makes the browser's clock precise enough to time an inference.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class SiteServer(http.server.ThreadingHTTPServer):
    """Serves the files of one mapping, and nothing else."""

    daemon_threads = True
    # Two servers on one port would take turns answering.
    allow_reuse_port = False

    def __init__(self, site: Mapping[str, bytes | Path], port: int = 0) -> None:
        """Listens on 127.0.0.1.

        Args:
            site: Maps each relative path to its content or to the file that holds it.
            port: The port; 0 for any free one.

        Raises:
            SpecError: the port is out of range.
            DataError: it is in use, or this user may not use it.
        """
        if not 0 <= port <= 65535:
            raise SpecError(f"a port must be 0 to 65535, got {port}")
        self.site = site
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as e:
            why = "is in use" if e.errno == errno.EADDRINUSE else f"cannot be used ({e.strerror})"
            raise DataError(f"port {port} {why}: choose another --port, or leave it out for a free one") from e

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores a browser that closes the connection early, as happens whenever a page is left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SiteServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing: the terminal belongs to the command."""

    def _answer(self, *, body: bool) -> None:
        # A page under another host name that resolves to this machine must not read the bundle.
        if self.headers.get("Host", "") not in self._own_hosts():
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        # Only the path, whatever it looks like: urlsplit would take //[ for the start of an address.
        name = self.path.partition("?")[0].partition("#")[0].lstrip("/") or INDEX
        content = self.server.site.get(name)
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        data = content if isinstance(content, bytes) else content.read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(data)))
        for key, value in _HEADERS.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _own_hosts(self) -> set[str]:
        port = self.server.server_port
        hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
        # Browsers leave out the default port.
        return hosts | {HOST, "localhost"} if port == _HTTP_PORT else hosts
