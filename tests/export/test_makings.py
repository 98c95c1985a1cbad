import numpy as np

from pocketvae.bundle.manifest import RewriteRecord
from pocketvae.bundle.quantization import SearchRecord, TrialRecord
from pocketvae.export.makings import Makings
from pocketvae.export.precisions.base import Made
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.quantize.searched import Searched
from pocketvae.export.quantize.source import Source
from pocketvae.export.rewrite_choice import Decision
from pocketvae.export.rewrites.names import Form, Rewrite, Step
from pocketvae.spec import Component, Format
from pocketvae.system.files import sha256_file
from pocketvae.vae_spec import VaeSpec, vector_latent

STEP = Step(rewrite=Rewrite.NARROW_CONVOLUTION, form=Form.ONLY)
DECISION = Decision(
    steps=(STEP,),
    records=(RewriteRecord(name=STEP.rewrite, form=STEP.form, places=1, kept=True, reason="measured to be faster"),),
    speedup=1.25,
)
CHOSEN = TrialRecord(size_bytes=3, errors={"p99": 0.1}, error_ratio=float("inf"), latency_s=0.1)
SEARCHED = Searched(
    content=b"abc",
    notes=(),
    record=SearchRecord(trial_count=1, chosen=CHOSEN, reason="alone", front=(), layers=(), inputs=(), seeds=()),
    recipe=Recipe(artifact="decoder.int8.tflite", data_shape=(4, 4, 1), latent_dim=2, layers={"conv": 9}),
)
DECODER = {
    "rewrites of decoder.int8.tflite": DECISION,
    "decoder.int8.tflite": Made(content=b"abc", notes=("whole",), searched=SEARCHED),
    "decoder.float32.onnx": Made(content=b"onnx"),
    "graph-True-()": object(),
}


def source(component, cache, **parts):
    vae = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(2))
    named = {part.component: part for part in parts.values()}
    inputs = {"z": np.zeros((1, 2), np.float32)}
    return Source(
        component=component,
        model=None,
        vae=vae,
        calibration={},
        golden_inputs=inputs,
        golden_outputs={},
        parts=named,
        cache=dict(cache),
    )


def test_another_worker_has_what_the_first_one_made(tmp_path):
    decoder = source(Component.DECODER, DECODER)
    generator = source(Component.GENERATOR, {"generator.int8.tflite": Made(content=b"g")}, decoder=decoder)
    first = Makings(tmp_path)
    tflite, onnx = first.save(generator, Format.TFLITE), first.save(generator, Format.ONNX)
    assert tflite == {name: sha256_file(tmp_path / name) for name in tflite}
    assert sorted(onnx) == ["makings/decoder.float32.onnx", "makings/decoder.float32.onnx.json"]
    assert len(tflite) == 5
    second = Makings(tmp_path)
    assert second.load(Component.DECODER) == {key: value for key, value in DECODER.items() if "graph" not in key}
    assert list(second.load(Component.GENERATOR)) == ["generator.int8.tflite"]
    assert second.load(Component.ENCODER) == {}
    assert second.save(source(Component.DECODER, second.load(Component.DECODER)), Format.ONNX) == onnx


def test_what_has_not_changed_is_not_written_twice(tmp_path):
    makings, decoder = Makings(tmp_path), source(Component.DECODER, DECODER)
    before = makings.save(decoder, Format.TFLITE)
    for path in (tmp_path / "makings").iterdir():
        path.unlink()
    decoder.cache["rewrites of decoder.int8.tflite"] = Decision()
    after = makings.save(decoder, Format.TFLITE)
    assert [path.name for path in (tmp_path / "makings").iterdir()] == ["rewrites_of_decoder.int8.tflite.json"]
    assert {name for name in before if before[name] != after[name]} == {"makings/rewrites_of_decoder.int8.tflite.json"}


def test_a_document_comes_after_its_content(tmp_path):
    (tmp_path / "makings").mkdir()
    (tmp_path / "makings" / "decoder.float32.onnx").write_bytes(b"killed before the document")
    assert Makings(tmp_path).load(Component.DECODER) == {}
