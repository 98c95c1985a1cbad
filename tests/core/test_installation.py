import json
from types import SimpleNamespace

import pytest

from pocketvae import installation
from pocketvae.installation import install_command


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
