import json
import os
from types import SimpleNamespace

import pytest

from pocketvae import installation
from pocketvae.installation import install_command, python_path


@pytest.mark.parametrize(
    ("url", "command"),
    [
        (None, "pip install 'pocketvae[run]'"),
        ("file:///home/me/a%20checkout", "pip install '/home/me/a checkout[run]'"),
        ("file:///tmp/pocketvae-1-py3-none-any.whl", "pip install '/tmp/pocketvae-1-py3-none-any.whl[run]'"),
    ],
)
def test_what_is_missing_comes_from_where_pocketvae_came_from(monkeypatch, url, command):
    stated = None if url is None else json.dumps({"url": url})
    distribution = SimpleNamespace(read_text=lambda _: stated)
    monkeypatch.setattr(installation.metadata, "distribution", lambda _: distribution)
    assert install_command("run") == command


def test_a_source_tree_that_is_not_installed_names_the_package(monkeypatch):
    def missing(name):
        raise installation.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation.metadata, "distribution", missing)
    assert install_command() == "pip install pocketvae"


@pytest.mark.parametrize(
    ("stated", "extra", "command"),
    [
        ({}, "run", "pip install 'pocketvae[run] @ git+https://host/me/pocketvae.git@abc'"),
        ({}, "", "pip install 'git+https://host/me/pocketvae.git@abc'"),
        (
            {"subdirectory": "python"},
            "run",
            "pip install 'pocketvae[run] @ git+https://host/me/pocketvae.git@abc#subdirectory=python'",
        ),
        ({"url": "https://host/p.whl", "vcs_info": None}, "run", "pip install 'pocketvae[run] @ https://host/p.whl'"),
    ],
)
def test_what_came_from_a_repository_is_named_as_pip_takes_it(monkeypatch, stated, extra, command):
    known = {"url": "https://host/me/pocketvae.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}, **stated}
    distribution = SimpleNamespace(read_text=lambda _: json.dumps(known))
    monkeypatch.setattr(installation.metadata, "distribution", lambda _: distribution)
    assert install_command(extra) == command


def test_a_child_finds_what_this_process_finds(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/where/pocketvae/is")
    assert python_path(tmp_path) == os.pathsep.join([str(tmp_path), "/where/pocketvae/is"])
    monkeypatch.delenv("PYTHONPATH")
    assert python_path(tmp_path) == str(tmp_path)
