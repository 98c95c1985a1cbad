"""The root of the emulated machine, with packages that a script unpacks."""

import pytest

from pocketvae.benchmarks.targets import arm64, make_target


@pytest.mark.posix
def test_a_root_whose_libraries_lie_in_usr_gets_its_links_and_is_tried(tmp_path, monkeypatch):
    def unpack(folder, packages, sources, architecture):
        (folder / "usr/lib").mkdir(parents=True)
        (folder / "usr/sbin").mkdir()
        (folder / "sbin").mkdir()
        (folder / "usr/bin").mkdir()
        (folder / "usr/bin/python3.13").touch()

    tried = []
    monkeypatch.setenv("POCKETVAE_QEMU", "true")
    monkeypatch.setattr(arm64.apt, "machine_sources", lambda: ())
    monkeypatch.setattr(arm64.apt, "unpack_packages", unpack)
    monkeypatch.setattr(arm64, "run_tool", lambda command, doing, **options: tried.append(command[1:]))
    make_target("arm64")._make_root(tmp_path)
    links = {path.name: str(path.readlink()) for path in tmp_path.iterdir() if path.is_symlink()}
    assert links == {"lib": "usr/lib", "bin": "usr/bin"}
    assert tried == [("-L", str(tmp_path), str(tmp_path / "usr/bin/python3.13"), "--version")]
