"""The server and the life of a browser; a program that fetches and posts as the page does stands for the browser."""

import http.client
import itertools
import re
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from pocketvae.benchmarks.remote import browser as module
from pocketvae.benchmarks.remote.browser import Browser, Mailbox
from pocketvae.errors import ChannelError
from pocketvae.processes.envelope import Request

PAGE = """
import json, os, re, signal, sys, threading, time, urllib.request
start = urllib.request.urlopen(sys.argv[-1]).read().decode()
base = re.search('url=([^"]+)', start)[1].rpartition("/")[0]
http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def get(name):
    return http.open(f"{base}/{name}").read()
alive = http.open(f"{base}/alive")
threading.Thread(target=lambda: [None for _ in iter(lambda: alive.read(1), b"")], daemon=True).start()
while True:
    found = json.loads(get("request"))
    what = found["params"]
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leave":
        sys.exit(7)
    if what == "hang":
        time.sleep(600)
    if what == "freeze":
        alive.close()
        time.sleep(600)
    said = {"id": found["id"], "result": {"echo": what, "artifact": get("bundle/a.onnx").decode()}}
    body = b"{" if what == "babble" else json.dumps(said).encode()
    http.open(f"{base}/response?id={found['id']}", data=body)
"""
IDS = itertools.count(1)


def ask(browser, what, time_limit_s=120):
    return browser.ask(Request(id=next(IDS), method="echo", params=what), time_limit_s).result


@pytest.fixture
def browser(tmp_path):
    (tmp_path / "page.py").write_text(textwrap.dedent(PAGE))
    (tmp_path / "a.onnx").write_text("content")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "x.mjs").write_text("export {}")
    (tmp_path / "secret.txt").write_text("secret")
    made = Browser([sys.executable, str(tmp_path / "page.py")], tmp_path / "modules", {"a.onnx": tmp_path / "a.onnx"})
    yield made
    made.close()


def test_questions_are_answered(browser):
    assert ask(browser, "a") == {"echo": "a", "artifact": "content"}
    assert ask(browser, "b") == {"echo": "b", "artifact": "content"}


@pytest.mark.posix
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("die", "the browser was ended by signal 9"),
        ("leave", "the browser ended with code 7"),
        ("freeze", "the browser's page has crashed"),
    ],
)
def test_a_crash_is_told_and_the_next_question_starts_anew(browser, what, words, monkeypatch):
    assert ask(browser, "a")["echo"] == "a"
    with monkeypatch.context() as patch:
        if what == "freeze":
            patch.setattr(module, "_SILENCE_S", 1.5)
        with pytest.raises(ChannelError, match=words):
            ask(browser, what)
    assert ask(browser, "b")["echo"] == "b"


def test_an_answer_that_cannot_be_read_is_told_and_the_next_is_read(browser):
    with pytest.raises(ChannelError, match="its answer cannot be read"):
        ask(browser, "babble")
    assert ask(browser, "a")["echo"] == "a"


def test_one_that_hangs_is_ended(browser):
    with pytest.raises(ChannelError, match="it took longer than 2 s and was ended"):
        ask(browser, "hang", 2)


@pytest.mark.posix
def test_nothing_is_left_when_it_is_closed(browser):
    ask(browser, "a")
    profile, process = browser._profile, browser._process
    browser.close()
    assert not profile.exists()
    assert process.poll() is not None


def test_signs_of_an_earlier_browser_do_not_count():
    mailbox = Mailbox()
    mailbox.expect(30)
    earlier = mailbox.browser
    mailbox.expect(30)
    mailbox.sign(earlier)
    assert mailbox.silence_s() < 0
    mailbox.sign(mailbox.browser)
    assert mailbox.silence_s() >= 0
    mailbox.excuse(100)
    assert mailbox.silence_s() < 0


def test_a_time_in_which_this_process_was_stopped_is_no_silence(browser, monkeypatch):
    """The first look comes, for this process, an hour after the question."""
    hours = []
    real_wait, real_now = browser.mailbox.wait, module.time.monotonic

    def wait(time_limit_s):
        answer = real_wait(time_limit_s)
        if not hours:
            hours.append(3600.0)
            return None
        return answer

    clock = SimpleNamespace(monotonic=lambda: real_now() + sum(hours), sleep=module.time.sleep)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(browser.mailbox, "wait", wait)
    assert ask(browser, "a")["echo"] == "a"


def test_the_secret_is_in_no_argument(browser):
    ask(browser, "a")
    (secret,) = re.findall("/([^/]+)/page.html", browser._address)
    assert secret not in " ".join(map(str, browser._process.args))
    assert secret in (browser._profile / "start.html").read_text()
    assert browser._profile.stat().st_mode & 0o777 == 0o700


def test_an_answer_without_the_secret_or_without_an_end_is_not_read(browser):
    base, port = browser._address.rpartition("/")[0], browser._server.server_port
    path = base.partition(str(port))[2]
    for address, length, status in (("/response?id=1", "5", 404), (f"{path}/response?id=1", str(1 << 40), 413)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest("POST", address)
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.posix
def test_a_killed_process_leaves_no_browser_and_no_profile(tmp_path):
    (tmp_path / "page.py").write_text(textwrap.dedent(PAGE))
    (tmp_path / "a.onnx").write_text("content")
    program = """
import pathlib, sys, time
from pocketvae.benchmarks.remote.browser import Browser
from pocketvae.processes.envelope import Request
folder = pathlib.Path(sys.argv[1])
browser = Browser([sys.executable, str(folder / "page.py")], folder, {"a.onnx": folder / "a.onnx"})
browser.ask(Request(id=1, method="echo", params="a"), 120)
print(browser._process.pid, browser._profile, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        pid, profile = process.stdout.readline().split()
        assert Path(profile).is_dir()
        process.kill()
    for _ in range(600):
        if not Path(profile).exists():
            break
        time.sleep(0.1)
    assert not Path(profile).exists()
    assert not is_running(int(pid))


def is_running(pid):
    """Whether a process is there and is no zombie that nobody fetches, as in a container without an init."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def fetch(address):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address) as response:
        return response.read(), response.headers


def test_only_what_belongs_to_the_page_is_served(browser):
    base = browser._address.rpartition("/")[0]
    page, headers = fetch(f"{base}/page.html")
    assert page.startswith(b"<!doctype html>")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert fetch(f"{base}/modules/x.mjs")[1].get_content_type() == "text/javascript"
    others = ["modules/../secret.txt", "modules//etc/passwd", "bundle/../secret.txt", "bundle/other", "modules/", ""]
    root = base.rpartition("/")[0]
    for address in [*(f"{base}/{name}" for name in others), f"{root}/page.html", f"{root}/wrong/page.html"]:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(address)


def test_the_server_is_reached_from_this_machine_alone(browser):
    assert browser._server.server_address[0] == "127.0.0.1"
