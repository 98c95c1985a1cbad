"""Names of apps: what Kotlin, Java, Swift and Dart take."""

import pytest

from pocketvae.errors import SpecError
from pocketvae.export.app.names import checked_name, default_name

RESERVED = [
    "class", "Class", "fun", "Fun", "IN", "final", "Native", "Type", "late", "inout", "Int", "Case", "Extends",
    "Instanceof", "defer", "Fallthrough", "Function", "synchronized", "Rethrow", "Source", "patch", "out",
]  # fmt: skip


@pytest.mark.parametrize("name", ["Digits", "faceMaker2", "A", "my_app", "x" * 50])
def test_an_identifier_is_kept(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "2digits", "my app", "a-b", "é", "_x", "a.b", "x" * 51, 'a"', "a\n"])
def test_what_is_no_identifier_is_refused(name):
    with pytest.raises(SpecError, match="must be letters, digits and _"):
        checked_name(name)


@pytest.mark.parametrize("name", RESERVED)
def test_words_of_a_language_are_refused_in_any_case(name):
    # A package in Kotlin is the name in small letters.
    with pytest.raises(SpecError, match="must not be a word of Kotlin, Java, Swift or Dart"):
        checked_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Generator",
        "SwiftUI",
        "goldens",
        "Flutter",
        "tflite_flutter",
        "OnnxRuntimeBindings",
        "collection",
        "Meta",
        "CoreGraphics",
        "path",
    ],
)
def test_names_that_the_project_has_already_are_refused(name):
    with pytest.raises(SpecError, match="that of a module or class in the project"):
        checked_name(name)


@pytest.mark.parametrize("name", ["HelloWorld", "helloworld2"])
def test_the_placeholder_of_react_native_is_refused(name):
    with pytest.raises(SpecError, match="must not contain HelloWorld"):
        checked_name(name)


@pytest.mark.parametrize(
    ("model", "name"),
    [("mnist-tiny", "MnistTinyApp"), ("demo", "DemoApp"), ("2 faces", "PocketvaeApp"), ("", "App"), ("é", "App")],
)
def test_the_default_comes_from_the_model(model, name):
    assert default_name(model) == name
    checked_name(default_name("x" * 200))
