import pytest

from pocketvae.errors import ParityError
from pocketvae.runtimes import litert
from pocketvae.runtimes.litert import OperatorSet, open_interpreter


def test_the_delegate_s_line_is_held_back_whatever_was_opened_before(bundles, tflite_models, monkeypatch):
    held = []

    def quiet():
        held.append(True)
        return litert.contextlib.nullcontext()

    monkeypatch.setattr(litert, "_ANNOUNCED", [])
    monkeypatch.setattr(litert, "quiet_stderr", quiet)
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    open_interpreter(content, operators=OperatorSet.BUILTIN)
    assert held == []
    open_interpreter(content)
    open_interpreter(content)
    assert held == [True]


def test_a_file_that_cannot_be_loaded_is_named_in_one_line(bundles, tflite_models):
    with pytest.raises(
        ParityError, match=r"^a\.tflite: the file is not a TFLite file: the identifier 'TFL3' is missing$"
    ):
        open_interpreter(b"nothing", name="a.tflite")
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    with pytest.raises(ParityError, match=r"^a\.tflite: the TFLite file is truncated .+$"):
        open_interpreter(content[:100], name="a.tflite")


def test_all_tensors_are_kept_where_that_is_asked_for(bundles, tflite_models):
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    interpreter = open_interpreter(content, operators=OperatorSet.BUILTIN, keep_tensors=True)
    interpreter.invoke()
    assert interpreter.get_tensor(1).shape == (1, bundles.SIDE**2)
