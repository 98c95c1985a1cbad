import io
import tarfile

import pytest

from pocketvae.errors import TargetError
from pocketvae.system.files import sha256_bytes
from pocketvae.system.tools import npm


@pytest.mark.parametrize(
    ("system", "others"),
    [("linux", ["darwin", "win32"]), ("darwin", ["linux", "win32"]), ("win32", ["darwin", "linux"])],
)
def test_binaries_of_other_systems_are_unwanted(monkeypatch, system, others):
    monkeypatch.setattr(npm.sys, "platform", system)
    assert npm.other_systems(["bin/{system}", "*.map"]) == [f"bin/{others[0]}", f"bin/{others[1]}", "*.map"]


def test_unwanted_files_and_folders_are_deleted(tmp_path, monkeypatch):
    def install(*_, **__):
        for system in ("darwin", "linux", "win32"):
            (tmp_path / "bin" / system).mkdir(parents=True)
        (tmp_path / "a.map").touch()
        (tmp_path / "a.js").touch()

    monkeypatch.setattr(npm, "run_tool", install)
    monkeypatch.setattr(npm.sys, "platform", "darwin")
    npm.install(tmp_path, ["a@1"], unwanted=["bin/{system}", "*.map"])
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "a.js",
        "bin",
        "bin/darwin",
    ]


@pytest.fixture
def published(monkeypatch):
    """A registry with one package of one file."""

    def pack(*_, cwd, **__):
        with tarfile.open(cwd / "a-1.tgz", "w:gz") as tar:
            member = tarfile.TarInfo("package/dist/a.js")
            member.size = 4
            tar.addfile(member, io.BytesIO(b"code"))

    monkeypatch.setattr(npm, "run_tool", pack)


def test_published_files_are_read(published):
    assert npm.read_published("a@1", {"dist/a.js": sha256_bytes(b"code")}) == {"dist/a.js": b"code"}


@pytest.mark.parametrize("hashes", [{"dist/a.js": "0" * 64}, {"dist/b.js": sha256_bytes(b"code")}])
def test_what_is_not_the_published_file_is_refused(published, hashes):
    with pytest.raises(TargetError, match=r"a@1 contains a dist/.\.js that differs from the published one"):
        npm.read_published("a@1", hashes)


def test_a_package_that_does_not_come_is_refused(monkeypatch):
    monkeypatch.setattr(npm, "run_tool", lambda *_, **__: "")
    with pytest.raises(TargetError, match="npm must bring one archive of a@1, got 0"):
        npm.read_published("a@1", {})
