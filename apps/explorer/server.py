"""A server that shows a site to browsers on this machine only."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from pocketvae.apps.explorer.site import INDEX
from pocketvae.errors import DataError, SpecError
from pocketvae.system.local_server import Content, LocalServer

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:",
}


def check_port(port: int) -> None:
    """Checks that there can be such a port; 0 stands for any free one.

    Raises:
        SpecError: there cannot.
    """
    if not 0 <= port <= 65535:
        raise SpecError(f"a port must be 0 to 65535, got {port}")


class SiteServer(LocalServer):
    """Serves the files of one mapping, and nothing else."""

    def __init__(self, site: Mapping[str, bytes | Path], port: int = 0) -> None:
        """Listens on 127.0.0.1.

        Args:
            site: Maps each relative path to its content or to the file that holds it.
            port: The port; 0 for any free one.

        Raises:
            SpecError: the port is out of range.
            DataError: it is in use, or this user may not use it.
        """
        check_port(port)
        self.site = site
        try:
            super().__init__(self._content, port=port, headers=_HEADERS)
        except OSError as e:
            why = "is in use" if e.errno == errno.EADDRINUSE else f"cannot be used ({e.strerror})"
            raise DataError(f"port {port} {why}: choose another --port, or leave it out for a free one") from e

    def _content(self, name: str) -> Content | None:
        content = self.site.get(name or INDEX)
        if content is None:
            return None
        return Content.of(name or INDEX, content if isinstance(content, bytes) else content.read_bytes())
