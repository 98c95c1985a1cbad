import sys
from pathlib import Path

import pytest

from pocketvae.system.cache import cache_folder


def test_the_variable_names_the_folder_itself(monkeypatch, tmp_path):
    monkeypatch.setenv("POCKETVAE_CACHE", "here")
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == tmp_path / "here"


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_else_it_lies_where_the_system_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("POCKETVAE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pocketvae"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "pocketvae"
