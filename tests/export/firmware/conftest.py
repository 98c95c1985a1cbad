"""A bundle with a TFLite file made without TensorFlow, for firmware."""

from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import FileRecord
from pocketvae.documents import encode
from pocketvae.portability.tflm import tflm_step
from pocketvae.spec import Format
from pocketvae.system.files import sha256_bytes


def add_tflite(folder, content, component="decoder", **changes):
    """Records a TFLite file beside the bundle's ONNX file of the same component."""
    manifest = open_bundle(folder).manifest
    record = next(item for item in manifest.artifacts if item.component == component)
    path = f"{component}.{changes.get('precision', 'float32')}.tflite"
    file = FileRecord(path=path, sha256=sha256_bytes(content), size_bytes=len(content))
    record = replace(record, format=Format.TFLITE, file=file, **changes)
    (folder / path).write_bytes(content)
    (folder / "manifest.json").write_text(encode(replace(manifest, artifacts=(*manifest.artifacts, record))))
    return folder


@pytest.fixture
def recorded():
    """The function that records a TFLite file in a bundle."""
    return add_tflite


@pytest.fixture
def bundle(tmp_path, bundles, tflite_models):
    """A bundle with `decoder.float32.tflite`."""
    folder = bundles.make_bundle(tmp_path / "b")
    return add_tflite(folder, tflite_models.decoder(bundles.right_weight(), bundles.SIDE))


@pytest.fixture
def tflm():
    """Skips the test where TensorFlow Lite Micro is not set up."""
    if not tflm_step().is_done():
        pytest.skip("tflite-micro is not set up: pocketvae targets setup tflm")


@pytest.fixture
def compiler(monkeypatch):
    """Skips the test where there is no C++ compiler."""
    from pocketvae.errors import TargetError
    from pocketvae.export.firmware.check import require_compiler

    try:
        return require_compiler()
    except TargetError as e:
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def signal_bundle(made_once, tmp_path_factory):
    """A bundle of three channels with a scorer in int8_io and float32, hardly trained. Do not change it."""

    def make(path):
        from pocketvae.export import ExportConfig, RewriteChoice, export_run, plan_artifacts
        from pocketvae.spec import Component, Precision
        from pocketvae.train import train
        from pocketvae.train.presets import preset

        rng = np.random.default_rng(0)
        time = np.arange(6000) / 50.0
        waves = [3 + 9 * np.sin(8 * time), 20 + 2 * np.sin(16 * time + 1), 300 + 40 * np.cos(8 * time)]
        table = np.stack(waves, axis=1) + rng.normal(size=(6000, 3)) * (0.5, 0.1, 3)
        source = tmp_path_factory.mktemp("signal") / "sensor.csv"
        np.savetxt(source, table, delimiter=",", header="ax,temp,rpm", comments="", fmt="%.4f")
        run = source.with_name("run")
        config = replace(preset("sensor-tiny"), epochs=1, stride=8)
        train(source=str(source), out=run, config=config, preset="sensor-tiny")
        artifacts = plan_artifacts(
            components=(Component.ENCODER, Component.SCORER),
            formats=(Format.TFLITE,),
            precisions=(Precision.FLOAT32, Precision.INT8_IO),
        )
        export_run(run, path, ExportConfig(artifacts=artifacts, rewrites=RewriteChoice(), false_positive_rate=0.05))

    return made_once("signal-firmware", make)
