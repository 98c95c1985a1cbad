"""The name of an app: a module in Swift, part of a package in Kotlin, and a package of npm and Dart."""

from __future__ import annotations

import re

from pocketvae.errors import SpecError
from pocketvae.reporting.escapes import is_identifier

_LONGEST = 50
_FORM = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DEFAULT = "PocketvaeApp"
# React Native's command replaces it in its templates.
_PLACEHOLDER = "helloworld"
# Beside the words of `escapes`: of Java, since Kotlin packages become folders and classes of it, of Dart and Swift;
# `flutter create` refuses some names that Dart takes, too.
_WORDS = frozenset(
    """
    abstract actor any base boolean byte covariant deferred dynamic external factory final get hide late library
    mixin native of on open out part patch required rethrow sealed set show some source strictfp sync synchronized
    transient type
    """.split()  # noqa: SIM905, a page of quotes
)
# Of the classes, modules and packages that a project has besides, or that these are made of.
_TAKEN = frozenset(
    """
    foundation generator goldens mainactivity onnxruntime onnxruntimebindings packagedescription swift swiftui test
    xctest flutter flutter_test integration_test tflite_flutter react reactnative typescript litert
    appkit combine coredata corefoundation coregraphics coreimage coretext darwin dispatch imageio metal objectivec
    observation os quartzcore security testing uikit
    async boolean_selector characters clock collection fake_async ffi file flutter_driver leak_tracker matcher
    material_color_utilities meta path platform plugin_platform_interface process quiver sky_engine source_span
    stack_trace stream_channel string_scanner sync_http term_glyph test_api vector_math vm_service webdriver
    """.split()  # noqa: SIM905, a page of quotes
)


def checked_name(name: str) -> str:
    """Returns a name that Kotlin, Swift and Dart take, in capitals and in small letters.

    Raises:
        SpecError: it is none.
    """
    small = name.lower()
    if not _FORM.fullmatch(name) or len(name) > _LONGEST:
        raise SpecError(
            f"--name must be letters, digits and _, begin with a letter and have at most {_LONGEST} of them, since "
            f"Kotlin and Swift use it as an identifier, such as FaceMaker, got {name!r}"
        )
    if not (is_identifier(name) and is_identifier(small)) or {name, small} & _WORDS:
        raise SpecError(f"--name must not be a word of Kotlin, Java, Swift or Dart, got {name!r}: choose another")
    if _PLACEHOLDER in small:
        raise SpecError(f"--name must not contain HelloWorld, which React Native refuses, got {name!r}: choose another")
    if small in _TAKEN:
        raise SpecError(f"--name must not be that of a module or class in the project, got {name!r}: choose another")
    return name


def default_name(model: str) -> str:
    """Returns a name for the app of a model: its own in camel case where that is one."""
    words = re.findall(r"[A-Za-z0-9]+", model)
    name = "".join(word[0].upper() + word[1:] for word in words)[: _LONGEST - 3] + "App"
    try:
        return checked_name(name)
    except SpecError:
        return _DEFAULT
