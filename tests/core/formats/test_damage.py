from pathlib import Path

import pytest

from pocketvae.errors import ManifestError, ParityError, TargetError
from pocketvae.formats.damage import Damage, naming_file, refusing_damage


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError(7), r"^a file is damaged: its parts cannot be read \(KeyError: 7\)$"),
        (MemoryError(), r"^a file is damaged: its parts cannot be read \(MemoryError\)$"),
        (ValueError("two\n  lines"), r"^a file is damaged: its parts cannot be read \(ValueError: two lines\)$"),
        (Damage("it is empty"), "^a file is damaged: its parts cannot be read: it is empty$"),
        (ManifestError("as it is"), "^as it is$"),
    ],
)
def test_whatever_a_reader_raises_becomes_one_line(error, message):
    with pytest.raises(ManifestError, match=message), refusing_damage("a file", "parts"):
        raise error


@pytest.mark.parametrize("kind", [ManifestError, ParityError])
def test_a_file_is_named_once(kind):
    path = Path("folder/a.tflite")
    with pytest.raises(kind, match="^folder/a.tflite: it is damaged$"), naming_file(path):
        raise kind("it is damaged")
    with pytest.raises(kind, match="^LiteRT cannot load folder/a.tflite$"), naming_file(path):
        raise kind("LiteRT cannot load folder/a.tflite")
    with pytest.raises(TargetError, match="^onnx is missing$"), naming_file(path):
        raise TargetError("onnx is missing")
