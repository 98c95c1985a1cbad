"""The study of large images: its arithmetic and what it refuses; the files that it times are made by hand."""

import pytest


def test_our_fastest_file_is_compared_with_the_fastest_other_within_rounds(study):
    large = study("large_decoders")

    def contender(name, values):
        return large.Contender(name=name, process=None, times_s={"taesd": values})

    contenders = [
        contender("litert-pocketvae", [0.3, 0.3, 0.3]),
        contender("onnxruntime-pocketvae", [0.1, 0.2, 0.1]),
        contender("onnxruntime-stock", [0.5, 0.5, 0.5]),
        contender("openvino", [0.2, 0.6, 0.1]),
        large.Contender(name="mnn", process=None, problems={"taesd": "No module named 'MNN'"}),
    ]
    found = large.summary(contenders, "taesd")
    assert (found["ours"], found["fastest_other"], found["speedup"]) == ("onnxruntime-pocketvae", "openvino", 2.0)
    assert found["interval"][0] >= 1.0
    assert found["interval"][1] <= 3.0
    assert set(found["median_s"]) == {"litert-pocketvae", "onnxruntime-pocketvae", "onnxruntime-stock", "openvino"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--decoders", "taesd,taesx"], "decoders must be of taesd, normed, got taesx"),
        (["--rounds", "0"], "rounds must be at least 1"),
    ],
)
def test_bad_usage_is_refused(study, capsys, words, message):
    assert study("large_decoders").main(words) == 2
    assert message in capsys.readouterr().err
