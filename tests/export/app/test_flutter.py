"""The project for Flutter: the syntax of its Dart files, and what its description names. Dart itself is not at hand."""

import subprocess
import sys
from dataclasses import replace

import pytest

from pocketvae.export.app.flutter import flutter_files
from pocketvae.export.app.plan import plan_app
from pocketvae.spec import Format
from pocketvae.system.cache import cache_folder

PARSER = ("tree-sitter==0.26.1", "tree-sitter-dart==0.1.0")


@pytest.fixture(scope="module")
def dart():
    """Returns where a text is no Dart; None where it is."""
    folder = cache_folder() / "tree-sitter-dart-0.1.0"
    if not folder.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PARSER]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            pytest.skip(f"tree-sitter-dart cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    sys.path.insert(0, str(folder))
    try:
        import tree_sitter
        import tree_sitter_dart
    finally:
        sys.path.remove(str(folder))
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_dart.language()))

    def problem(text):
        todo = [parser.parse(text.encode()).root_node]
        while todo:
            node = todo.pop()
            if node.is_error or node.is_missing:
                return f"line {node.start_point[0] + 1}: {node.text.decode()[:60]}"
            todo += node.children
        return None

    return problem


def test_every_file_is_dart(demo, labelled, dart):
    for bundle in (demo, labelled):
        files = flutter_files(plan_app(bundle, (Format.TFLITE,), "Digits"))
        texts = {name: text for name, text in files.items() if name.endswith(".dart")}
        assert len(texts) == 4
        assert {name: dart(text) for name, text in texts.items()} == dict.fromkeys(texts)
    assert "generator.generate(seed, index, label)" in texts["lib/main.dart"]
    assert dart(texts["lib/main.dart"].replace("=>", "=", 1)) is not None


def test_pixels_are_computed_in_32_bits_and_nan_is_black(demo):
    manifest = demo.manifest
    changed = replace(demo, manifest=replace(manifest, vae=replace(manifest.vae, data_range=(-1.0, 1.0))))
    code = flutter_files(plan_app(changed, (Format.TFLITE,), "Digits"))["lib/generator.dart"]
    assert "final level = Float32List(1);" in code
    assert "level[0] = image[pixel * 1] * 127.5;\n      level[0] += 128.0;" in code
    assert "rgba[pixel * 4 + c] = level[0] > 0 ? min(level[0], 255).floor() : 0;" in code


def test_what_was_not_built_is_said(demo):
    files = flutter_files(plan_app(demo, (Format.TFLITE,), "Digits"))
    assert "Not built here: neither Dart nor Flutter was at hand" in files["README.md"]
    assert "The file needs TensorFlow Lite 2.13.0 or newer" in files["README.md"]
    assert "tflite_flutter: 0.12.1" in files["pubspec.yaml"]
    assert '"assets/generator.int8.tflite"' in files["pubspec.yaml"]
