"""The package's own bundle, one whose VAE takes a class, and projects of apps as folders."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.demo import demo_folder
from pocketvae.bundle.manifest import MANIFEST_NAME, FileRecord
from pocketvae.documents import encode
from pocketvae.fields import Condition
from pocketvae.spec import Component


@pytest.fixture(scope="session")
def demo():
    return open_bundle(demo_folder())


@pytest.fixture(scope="session")
def labelled(demo, tmp_path_factory):
    """The same bundle as if its VAE took a class: its files do not, but nothing here runs them."""
    folder = tmp_path_factory.mktemp("labelled") / "b"
    shutil.copytree(demo.path, folder)
    label, path = Condition(count=10), "golden/generator.input.label.npy"
    np.save(folder / path, np.zeros(demo.goldens(Component.GENERATOR).count, np.int32))
    file = FileRecord.of(path, (folder / path).read_bytes())
    manifest = demo.manifest
    goldens = tuple(
        replace(item, inputs=item.inputs | {"label": file}) if item.component is Component.GENERATOR else item
        for item in manifest.goldens
    )
    artifacts = tuple(
        replace(item, inputs=(*item.inputs, label.tensor)) if item.component is Component.GENERATOR else item
        for item in manifest.artifacts
    )
    vae = replace(manifest.vae, conditions=(label,))
    manifest = replace(manifest, vae=vae, artifacts=artifacts, goldens=goldens)
    (folder / MANIFEST_NAME).write_text(encode(manifest), "utf-8")
    return open_bundle(folder)


@pytest.fixture(scope="session")
def write_files():
    """Writes files of a project by their paths into a folder."""

    def write(files, folder):
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write
