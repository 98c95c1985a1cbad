from pathlib import Path

import pytest


@pytest.fixture
def fuzz(study):
    return study("fuzz")


# By reader, the numbers of those samples that are not for it but for another with the same samples, or are refused for
# what they hold: models that draw random numbers, arrays and idx files that are no images.
REFUSED = {
    "onnx-original": {3},
    "onnx-whole": {1},
    "image-npy": {0, 2},
    "idx": {1},
    "idx-gz": {1},
    "limits": {1},
    "overrides": {0},
}


def test_every_reader_reads_its_samples(fuzz, tmp_path):
    from fuzzing.readers import READERS

    for name, reader in READERS.items():
        refused = set()
        for number, content in enumerate(reader.samples()):
            try:
                reader.read(content, tmp_path)
            except reader.refusals:
                refused.add(number)
        assert refused == REFUSED.get(name, set()), name


def test_damaged_inputs_are_read_or_refused(fuzz):
    """The short form of the campaign; a seed of a finding stays here once its kind is mended."""
    from fuzzing.readers import READERS

    for name in READERS:
        outcome = fuzz.try_reader(name, 1, range(150))
        assert outcome.findings == ()
        assert outcome.read + sum(outcome.refused.values()) == 150


def test_an_input_comes_again_from_its_seed(fuzz):
    from fuzzing.readers import READERS

    for reader in READERS.values():
        made = [reader.damaged(f"3:x:{index}") for index in range(5)]
        assert made == [reader.damaged(f"3:x:{index}") for index in range(5)]


def test_what_is_neither_read_nor_refused_is_found(fuzz, monkeypatch):
    import warnings

    from fuzzing import readers

    from pocketvae.errors import DataError

    def read(content, _: Path):
        if len(content) % 3 == 0:
            raise KeyError("x")
        if len(content) % 3 == 1:
            raise DataError("a\nb\nc")
        warnings.warn("raw", UserWarning, stacklevel=1)

    monkeypatch.setitem(readers.READERS, "bad", readers.Reader(samples=lambda: [b"1", b"22", b"333"], read=read))
    outcome = fuzz.try_reader("bad", 0, range(40))
    assert {finding.kind for finding in outcome.findings} >= {"KeyError", "message", "warning"}
    assert outcome.findings[0].seed.startswith("0:bad:")


def test_an_input_that_ends_or_hangs_its_process_is_found_and_the_rest_is_tried(fuzz, monkeypatch):
    ended = fuzz.Outcome(reader="npy", count=2, read=2, refused={}, seconds=0.0, findings=())
    answers = iter([(None, "signal 11", 4), (ended, "", 0), (None, "hang", 7), (ended, "", 0), (ended, "", 0)])
    spans = []

    def run(name, seed, span, file, progress):
        spans.append(span)
        return next(answers)

    monkeypatch.setattr(fuzz, "_run_child", run)
    outcome = fuzz.campaign("npy", 0, 10)
    assert spans == [(0, 10), (0, 4), (5, 10), (5, 7), (8, 10)]
    assert [(finding.seed, finding.kind) for finding in outcome.findings] == [
        ("0:npy:4", "signal 11"),
        ("0:npy:7", "hang"),
    ]
    assert outcome.read == 6
