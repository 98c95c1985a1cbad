"""The project for iOS: a Swift package with onnxruntime, a SwiftUI view, and the goldens as its test."""

from __future__ import annotations

from pocketvae.export.app.content import Files, model_code, model_files, rendered
from pocketvae.export.app.plan import AppPlan
from pocketvae.spec import Format

# Of the package that Microsoft publishes for Swift's package manager.
_ONNXRUNTIME = "1.24.2"


def ios_files(plan: AppPlan) -> Files:
    """Returns the files of the project by path."""
    code, tests = f"Sources/{plan.name}", f"Tests/{plan.name}Tests"
    templates = {
        "Package.swift": "ios_package.swift.j2",
        f"{code}/{plan.name}View.swift": "ios_view.swift.j2",
        f"{code}/Goldens.swift": "ios_goldens.swift.j2",
        f"{tests}/GoldenTests.swift": "ios_test.swift.j2",
        "README.md": "ios.md.j2",
    }
    return {
        **rendered(plan, templates, onnxruntime=_ONNXRUNTIME),
        f"{code}/Models.swift": model_code(plan, "ios_onnxruntime.swift.j2", Format.ONNX, resources="module"),
        f"{code}/Resources/goldens.json": plan.goldens(),
        ".gitignore": "/.build/\n/.swiftpm/\nxcuserdata/\n",
        **model_files(plan, f"{code}/Resources/"),
    }
