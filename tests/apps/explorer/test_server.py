"""The server of the page that runs a decoder in the browser."""

import contextlib
import http.client
import socket
import struct
import threading
import urllib.request
import webbrowser
from pathlib import Path

import pytest

from pocketvae import apps
from pocketvae.apps import SiteServer, site_files
from pocketvae.cli.main import main
from pocketvae.errors import DataError
from pocketvae.system import local_server

# So long that only what hangs for ever fails: the machine may be busy with anything.
_LIMIT_S = 300


@pytest.fixture
def server(bundle, runtime):
    with served(bundle) as serving:
        yield serving


@contextlib.contextmanager
def served(bundle):
    """Serves a bundle's site until the block ends, however it ends."""
    with SiteServer(site_files(bundle)) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        try:
            yield serving
        finally:
            serving.shutdown()


def ask(server, path, host=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=_LIMIT_S)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def test_the_site_is_served_and_nothing_else(server, bundle):
    status, headers, body = ask(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"explore.js" in body
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert ask(server, "/artifacts/decoder.float32.onnx")[2] == (bundle.path / "decoder.float32.onnx").read_bytes()
    assert ask(server, "/", method="HEAD")[2] == b""
    for path in ("/manifest.json", "/../b/manifest.json", "/artifacts/../manifest.json", "//etc/passwd", "/%2e%2e/b"):
        assert ask(server, path)[0] == 404, path


def test_no_path_breaks_an_answer(server, capfd):
    for path in ("//[", "/[", "/?x=//[", "/%00", "//[::1]/manifest.json"):
        assert ask(server, path)[0] == (200 if path.startswith("/?") else 404), path
    assert capfd.readouterr().err == ""


def test_a_browser_that_goes_away_is_not_heard_of(server, capfd):
    answered = threading.Event()

    # More than the system's buffers hold, so that the server still writes when the browser is gone.
    server.site = {**server.site, "large.bin": bytes(1 << 26)}
    shutdown = server.shutdown_request

    def note(request):
        shutdown(request)
        answered.set()

    server.shutdown_request = note
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=_LIMIT_S)
    connection.request("GET", "/large.bin")
    assert connection.getresponse().read(10) == bytes(10)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert answered.wait(_LIMIT_S)
    assert capfd.readouterr().err == ""


def test_a_fault_of_the_server_itself_is_shown(server, capfd):
    answered = threading.Event()
    shutdown = server.shutdown_request

    def note(request):
        shutdown(request)
        answered.set()

    server.shutdown_request = note
    server.site = {"index.html": Path("gone")}
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, "/")
    assert answered.wait(_LIMIT_S)
    assert "FileNotFoundError" in capfd.readouterr().err


def test_the_usual_port_need_not_be_named(server, monkeypatch):
    assert ask(server, "/", host="127.0.0.1")[0] == 403
    monkeypatch.setattr(local_server, "_HTTP_PORT", server.server_port)
    assert ask(server, "/", host="127.0.0.1")[0] == 200
    assert ask(server, "/", host="localhost")[0] == 200
    assert ask(server, "/", host="example.org")[0] == 403


def test_the_page_is_served_while_a_browser_of_the_terminal_is_open(bundle, runtime, monkeypatch):
    found = []

    class Stopped(SiteServer):
        def serve_forever(self, poll_interval=0.5):
            serving = threading.Thread(target=super().serve_forever, daemon=True)
            serving.start()
            assert done.wait(_LIMIT_S)
            self.shutdown()

    done = threading.Event()

    def browse(address):
        with urllib.request.urlopen(address, timeout=_LIMIT_S) as answer:
            found.append(answer.status)
        done.set()

    monkeypatch.setattr(webbrowser, "open", browse)
    monkeypatch.setattr(apps, "SiteServer", Stopped)
    assert main(["explore", str(bundle.path), "--quiet"]) == 0
    assert found == [200]


def test_a_page_of_another_name_may_not_read_it(server):
    assert ask(server, "/", host="example.org")[0] == 403
    assert ask(server, "/", host=f"localhost:{server.server_port}")[0] == 200


def test_a_port_in_use_is_an_error(bundle, runtime, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DataError, match=f"port {port} is in use: choose another --port"):
            SiteServer({}, port)
        assert main(["explore", str(bundle.path), "--port", str(port), "--no-browser"]) == 2
    assert "is in use" in capsys.readouterr().err
