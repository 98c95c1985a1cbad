"""The server and the life of a browser; a program that fetches and posts as the page does stands for the browser."""

import sys
import textwrap
import urllib.error
import urllib.request

import pytest

from pocketvae.benchmarks.couriers import browser as module
from pocketvae.benchmarks.couriers.browser import Browser
from pocketvae.line_process import LineProcessError

PAGE = """
import json, os, re, signal, sys, threading, time, urllib.request
base = sys.argv[-1].rpartition("/")[0]
def get(name):
    return urllib.request.urlopen(f"{base}/{name}").read()
alive = urllib.request.urlopen(f"{base}/alive")
threading.Thread(target=lambda: [None for _ in iter(lambda: alive.read(1), b"")], daemon=True).start()
while True:
    found = json.loads(get("question"))
    what = found["question"]["what"]
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leave":
        sys.exit(7)
    if what == "hang":
        time.sleep(60)
    if what == "freeze":
        alive.close()
        time.sleep(60)
    body = json.dumps({"echo": what, "artifact": get("bundle/a.onnx").decode()}).encode()
    urllib.request.urlopen(f"{base}/answer?id={found['id']}", data=body)
"""


@pytest.fixture
def browser(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SILENCE_S", 1.5)
    (tmp_path / "page.py").write_text(textwrap.dedent(PAGE))
    (tmp_path / "a.onnx").write_text("content")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "x.mjs").write_text("export {}")
    (tmp_path / "secret.txt").write_text("secret")
    made = Browser([sys.executable, str(tmp_path / "page.py")], tmp_path / "modules", {"a.onnx": tmp_path / "a.onnx"})
    yield made
    made.close()


def test_questions_are_answered(browser):
    assert browser.ask('{"what": "a"}', 20) == '{"echo": "a", "artifact": "content"}'
    assert browser.ask('{"what": "b"}', 20) == '{"echo": "b", "artifact": "content"}'


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("die", "the browser was ended by signal 9"),
        ("leave", "the browser ended with code 7"),
        ("freeze", "the browser's page has crashed"),
    ],
)
def test_a_crash_is_told_and_the_next_question_starts_anew(browser, what, words):
    assert "echo" in browser.ask('{"what": "a"}', 20)
    with pytest.raises(LineProcessError, match=words):
        browser.ask(f'{{"what": "{what}"}}', 20)
    assert '"echo": "b"' in browser.ask('{"what": "b"}', 20)


def test_one_that_hangs_is_ended(browser):
    with pytest.raises(LineProcessError, match="it took longer than 2 s and was ended"):
        browser.ask('{"what": "hang"}', 2)


def test_nothing_is_left_when_it_is_closed(browser):
    browser.ask('{"what": "a"}', 20)
    profile, process = browser._profile, browser._process
    browser.close()
    assert not profile.exists()
    assert process.poll() is not None


def fetch(address):
    with urllib.request.urlopen(address) as response:
        return response.read(), response.headers


def test_only_what_belongs_to_the_page_is_served(browser):
    base = browser._address.rpartition("/")[0]
    page, headers = fetch(f"{base}/page.html")
    assert page.startswith(b"<!doctype html>")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert fetch(f"{base}/modules/x.mjs")[1]["Content-Type"] == "text/javascript"
    others = ["modules/../secret.txt", "modules//etc/passwd", "bundle/../secret.txt", "bundle/other", "modules/", ""]
    root = base.rpartition("/")[0]
    for address in [*(f"{base}/{name}" for name in others), f"{root}/page.html", f"{root}/wrong/page.html"]:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(address)


def test_the_server_is_reached_from_this_machine_alone(browser):
    assert browser._server.server_address[0] == "127.0.0.1"
