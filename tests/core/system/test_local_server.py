import http.client
import threading

import pytest

from pocketvae.system.local_server import HOST, Content, LocalServer


@pytest.fixture
def serve():
    servers = []

    def make(get=lambda name: None, **options):
        server = LocalServer(get, **options)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(server, path, method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=60)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    found = response.status, response.read(), response.headers
    connection.close()
    return found


def content(name):
    if name == "pieces":
        return Content(data=iter([b"x", b"y"]))
    return {"a.html": Content.of("a.html", b"<p>"), "none": Content(data=b"")}.get(name)


def test_what_there_is_is_sent_and_the_page_is_isolated(serve):
    server = serve(content, headers={"Content-Security-Policy": "default-src 'self'"})
    status, body, headers = ask(server, "/a.html?x=1#y")
    assert (status, body, headers["Content-Type"]) == (200, b"<p>", "text/html; charset=utf-8")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Content-Security-Policy"] == "default-src 'self'"
    assert ask(server, "/none")[:2] == (200, b"")
    assert ask(server, "/pieces")[:2] == (200, b"xy")
    assert ask(server, "/a.html", "HEAD")[:2] == (200, b"")
    assert ask(server, "/b.html")[0] == 404


def test_a_file_is_sent_with_the_type_that_its_name_says(tmp_path):
    (tmp_path / "x.mjs").write_bytes(b"export {}")
    assert Content.read(tmp_path / "x.mjs") == Content(data=b"export {}", type="text/javascript; charset=utf-8")
    assert Content.of("x", b"").type == "application/octet-stream"


def test_a_path_without_the_secret_leads_nowhere(serve):
    server = serve(content, secret="s3cret")
    assert server.address == f"http://127.0.0.1:{server.server_port}/s3cret/"
    assert ask(server, "/s3cret/a.html")[0] == 200
    for path in ("/a.html", "/other/a.html", "/", "/s3cret"):
        assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_another_name_of_this_machine_is_refused(serve, method):
    server = serve(content, post=lambda *_: True, largest_post_bytes=9)
    assert ask(server, "/a.html", method, headers={"Host": f"elsewhere:{server.server_port}"})[0] == 403
    assert ask(server, "/a.html", method, headers={"Host": f"localhost:{server.server_port}"})[0] in (200, 204)


def test_a_body_is_taken_up_to_its_limit(serve):
    taken = []

    def take(name, query, body):
        taken.append((name, query, body))
        return name == "answer"

    server = serve(post=take, largest_post_bytes=5)
    assert ask(server, "/answer?id=1", "POST", b"12345")[0] == 204
    assert ask(server, "/other", "POST", b"1")[0] == 404
    assert ask(server, "/answer", "POST", b"123456")[0] == 413
    assert ask(serve(), "/answer", "POST", b"")[0] == 404
    assert taken == [("answer", "id=1", b"12345"), ("other", "", b"1")]


def test_it_is_reached_from_this_machine_alone(serve):
    server = serve()
    assert server.server_address[0] == HOST == "127.0.0.1"
    with pytest.raises(OSError, match="in use"):
        serve(port=server.server_port)
