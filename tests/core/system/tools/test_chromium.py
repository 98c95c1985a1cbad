import pytest

from pocketvae.system.tools import chromium


@pytest.fixture(autouse=True)
def nothing_is_here(monkeypatch, tmp_path):
    monkeypatch.setattr(chromium.shutil, "which", lambda _: None)
    monkeypatch.setattr(chromium, "target_folder", lambda name: tmp_path / "targets" / name)


def test_on_windows_it_is_found_among_the_programs(tmp_path, monkeypatch):
    for name in ("PROGRAMFILES", "PROGRAMFILES(X86)"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(chromium.sys, "platform", "win32")
    assert chromium.find_chromium() is None
    edge = tmp_path / "PROGRAMFILES(X86)" / "Microsoft/Edge/Application/msedge.exe"
    edge.parent.mkdir(parents=True)
    edge.touch()
    assert chromium.find_chromium() == str(edge)
    chrome = tmp_path / "PROGRAMFILES" / "Google/Chrome/Application/chrome.exe"
    chrome.parent.mkdir(parents=True)
    chrome.touch()
    assert chromium.find_chromium() == str(chrome)


def test_on_macos_it_is_found_among_the_applications(tmp_path, monkeypatch):
    monkeypatch.setattr(chromium.sys, "platform", "darwin")
    monkeypatch.setattr(chromium.Path, "home", lambda: tmp_path)
    program = tmp_path / "Applications/Chromium.app/Contents/MacOS/Chromium"
    program.parent.mkdir(parents=True)
    program.touch()
    found = chromium.find_chromium()
    assert found == str(program) or found.startswith("/Applications/")


def test_a_program_on_the_path_comes_first(monkeypatch):
    monkeypatch.setattr(chromium.shutil, "which", lambda name: f"/bin/{name}" if name == "google-chrome" else None)
    assert chromium.find_chromium() == "/bin/google-chrome"


def test_one_that_was_set_up_comes_last_and_is_set_up_where_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(chromium.sys, "platform", "linux")
    monkeypatch.setattr(chromium.platform, "machine", lambda: "x86_64")
    step = chromium.browser_step()
    assert not step.is_done()
    own = tmp_path / "targets/chromium/browser/run"
    own.parent.mkdir(parents=True)
    own.touch()
    assert chromium.find_chromium() == str(own)
    monkeypatch.setattr(chromium.shutil, "which", lambda name: f"/bin/{name}" if name == "chromium" else None)
    assert chromium.find_chromium() == "/bin/chromium"
    assert chromium.browser_step() is None


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_elsewhere_none_is_set_up(system, machine, monkeypatch):
    monkeypatch.setattr(chromium.sys, "platform", system)
    monkeypatch.setattr(chromium.platform, "machine", lambda: machine)
    for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert chromium.browser_step() is None
