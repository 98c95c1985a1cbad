"""The project for Flutter: a view on tflite_flutter, with the goldens as an integration test on the device."""

from __future__ import annotations

from pocketvae.export.app.content import Files, model_files, rendered
from pocketvae.export.app.plan import AppPlan

# Published on pub.dev; its runtime on Android is LiteRT 1.4.0.
_TFLITE_FLUTTER = "0.12.1"


def flutter_files(plan: AppPlan) -> Files:
    """Returns the files of the project by path."""
    templates = {
        "pubspec.yaml": "flutter_pubspec.yaml.j2",
        "lib/main.dart": "flutter_main.dart.j2",
        "lib/generator.dart": "flutter_generator.dart.j2",
        "lib/goldens.dart": "flutter_goldens.dart.j2",
        "integration_test/goldens_test.dart": "flutter_test.dart.j2",
        "README.md": "flutter.md.j2",
    }
    return {
        **rendered(plan, templates, tflite_flutter=_TFLITE_FLUTTER),
        "assets/goldens.json": plan.goldens(),
        ".gitignore": "/.dart_tool/\n/build/\n",
        **model_files(plan, "assets/"),
    }
