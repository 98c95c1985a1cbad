"""Every kind of model from training to verification: learned priors, labels, other likelihoods."""

from pathlib import Path

import numpy as np
import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError
from pocketvae.export import ExportConfig, RewriteChoice, export_run, plan_artifacts
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format, Precision
from pocketvae.train import TrainConfig, train, with_overrides

pytestmark = pytest.mark.slow
# What a learned prior and a label are inside, beside a decoder and its prior.
WITH_LABEL = (
    *plan_artifacts([Component.SAMPLER, Component.GENERATOR], None, [Precision.FLOAT32]),
    *plan_artifacts([Component.DECODER, Component.GENERATOR], None, [Precision.INT8]),
)


@pytest.fixture(scope="module")
def digits_npz(tmp_path_factory):
    """160 labelled MNIST images of every third pixel, as an .npz."""
    from pocketvae.data.image_files import read_mnist

    (images, labels), _ = read_mnist()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, images=images[:160, 2:26:3, 2:26:3, 0], labels=labels[:160])
    return path


def make_run(digits_npz, folder, **changes):
    values = {"latent_dim": 2, "channels": [4], "hidden_units": 8, "epochs": 1, "batch_size": 16, **changes}
    config = with_overrides(TrainConfig(), values)
    return train(source=str(digits_npz), out=folder / "run", config=config, preset="x")


@pytest.mark.parametrize(
    "changes",
    [
        {"conditional": True, "prior": "realnvp", "couplings": 4, "coupling_units": 8},
        {"likelihood": "discretized_logistic", "prior": "mixture", "components": 5},
        {"likelihood": "gaussian", "prior": "vamp", "components": 4},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_a_decoder_and_its_prior_are_exported_and_verified(digits_npz, tmp_path, changes, monkeypatch):
    record = make_run(digits_npz, tmp_path, **changes)
    artifacts = plan_artifacts([Component.DECODER, Component.PRIOR], list(Format), [Precision.FLOAT32])
    artifacts += WITH_LABEL if record.vae.label_count else ()
    config = ExportConfig(artifacts=artifacts, rewrites=RewriteChoice(), calibration_seeds=1)
    result = export_run(tmp_path / "run", tmp_path / "bundle", config)
    assert result.manifest.failures == ()
    names = [artifact.name for artifact in result.manifest.artifacts]
    assert names == [spec.filename for spec in artifacts]
    assert names[:4] == [
        *("decoder.float32.tflite", "decoder.float32.onnx", "prior.float32.tflite", "prior.float32.onnx")
    ]
    verified = verify_bundle(tmp_path / "bundle")
    assert verified.passed
    assert verified.not_run == ()
    assert {check.artifact for check in verified.checks} == set(names)
    # EMBED.md has the code of an int8 decoder where there is one.
    decoder = Precision.INT8 if record.vae.label_count else Precision.FLOAT32
    for format in Format:
        samples = draw(open_bundle(tmp_path / "bundle"), format, record.vae, decoder)
        assert samples.shape == (3, 8, 8, 1)
        assert 0 <= samples.min() < samples.max() <= 1
        # Other noise is another image.
        assert np.abs(samples[0] - samples[1]).max() > 1e-4
        monkeypatch.chdir(tmp_path / "bundle")
        np.testing.assert_allclose(draw_as_embedded(format, record.vae), samples, atol=1e-5)
    if record.vae.label_count:
        for name in ("generator.int8.tflite", "generator.int8.onnx"):
            inputs = result.manifest.artifact(name).inputs
            assert [tensor.name for tensor in inputs] == ["seed", "index", "label"]
        # Through a learned prior a sampler is not held to the bits of the reference.
        limits = result.manifest.artifact("sampler.float32.onnx").tolerances
        assert limits
        assert not any("bit-identical" in limit.source for limit in limits)


def draw(bundle, format, vae, precision):
    """What an application does: noise through the prior, its latent and a label through the decoder."""
    rng = np.random.default_rng(0)
    images = []
    with (
        open_runner(bundle.path / f"prior.float32.{format}", format) as prior,
        open_runner(bundle.path / f"decoder.{precision}.{format}", format) as decoder,
    ):
        for label in (0, 0, vae.label_count - 1):
            z = prior.run({"eps": rng.standard_normal((1, vae.eps_dim)).astype(np.float32)})["z"]
            inputs = {"z": z, "label": np.array([label], np.int32)} if vae.label_count else {"z": z}
            images.append(decoder.run(inputs)["image"][0])
    return np.stack(images)


def draw_as_embedded(format, vae):
    """The same with the code of EMBED.md."""
    title = {Format.TFLITE: "Python, LiteRT", Format.ONNX: "Python, onnxruntime"}[format]
    section = Path("EMBED.md").read_text("utf-8").split(f"## {title}\n")[1]
    names = {}
    exec(compile(section.split("```python\n")[1].split("```")[0], "EMBED.md", "exec"), names)
    rng = np.random.default_rng(0)
    images = []
    for label in (0, 0, vae.label_count - 1):
        z = names["transform"](rng.standard_normal((1, vae.eps_dim)))
        images.append(names["decode"](z, *([label] if vae.label_count else []))[0])
    return np.stack(images)


def test_a_prior_that_a_run_has_not_got_is_refused(tiny_run, tmp_path):
    config = ExportConfig(artifacts=plan_artifacts([Component.PRIOR]))
    with pytest.raises(SpecError, match=r"the run has no prior: its prior is N\(0, I\), which does not need one"):
        export_run(tiny_run, tmp_path / "bundle", config)
    assert list(tmp_path.iterdir()) == []
