"""A small bundle and a runtime that is none, for tests of the page and its server."""

import pytest

import pocketvae
from pocketvae.apps.explorer import web_runtime
from pocketvae.system.tools.npm import ONNXRUNTIME_WEB_VERSION


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A runtime that is none, for tests that run no JavaScript."""
    folder = tmp_path / "cache" / f"onnxruntime-web-{ONNXRUNTIME_WEB_VERSION}"
    folder.mkdir(parents=True)
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "cache"))
    contents = {name: name.encode() for name in web_runtime.RUNTIME_FILES}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    hashes = {name: pocketvae.system.files.sha256_bytes(content) for name, content in contents.items()}
    monkeypatch.setattr(web_runtime, "RUNTIME_FILES", hashes)
    return folder


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as opened:
        yield opened
