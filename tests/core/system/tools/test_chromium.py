import pytest

from pocketvae.system.tools import chromium


@pytest.fixture(autouse=True)
def nothing_on_the_path(monkeypatch):
    monkeypatch.setattr(chromium.shutil, "which", lambda _: None)


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
