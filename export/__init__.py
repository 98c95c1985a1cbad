"""Export: a run directory or user-supplied models in, a bundle out."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.export.budgets import Budget
    from pocketvae.export.bundle_writer import ChipWork, ExportResult
    from pocketvae.export.config import ExportConfig, check_combinations, default_memory_limit_bytes, plan_artifacts
    from pocketvae.export.external.messages import ExternalModels
    from pocketvae.export.external.prior import PriorFit
    from pocketvae.export.external.roles import DecoderOutput, Wanted
    from pocketvae.export.external_pipeline import export_external_models
    from pocketvae.export.guide.android_test import ANDROID_TEST_NAME, check_android_test, write_android_test
    from pocketvae.export.guide.portability_notes import portability_warnings
    from pocketvae.export.guide.triton import check_triton, write_triton
    from pocketvae.export.pipeline import export_run
    from pocketvae.export.quantize.recipe import Recipe, read_recipes
    from pocketvae.export.rewrites.names import Rewrite, RewriteChoice, parse_rewrites
    from pocketvae.export.tuning.ladder import Tune
    from pocketvae.keras.custom_code import CustomCode
    from pocketvae.keras.model_form import DataFormat, Role

_MODULES = {
    "pocketvae.export.config": (
        "ExportConfig",
        "check_combinations",
        "default_memory_limit_bytes",
        "plan_artifacts",
    ),
    "pocketvae.export.external.messages": ("ExternalModels",),
    "pocketvae.export.external.prior": ("PriorFit",),
    "pocketvae.export.external.roles": ("DecoderOutput", "Wanted"),
    "pocketvae.export.external_pipeline": ("export_external_models",),
    "pocketvae.export.guide.android_test": (
        "ANDROID_TEST_NAME",
        "check_android_test",
        "write_android_test",
    ),
    "pocketvae.export.guide.triton": ("check_triton", "write_triton"),
    "pocketvae.export.guide.portability_notes": ("portability_warnings",),
    "pocketvae.export.bundle_writer": (
        "ChipWork",
        "ExportResult",
    ),
    "pocketvae.export.pipeline": ("export_run",),
    "pocketvae.export.budgets": ("Budget",),
    "pocketvae.export.quantize.recipe": (
        "Recipe",
        "read_recipes",
    ),
    "pocketvae.export.rewrites.names": (
        "Rewrite",
        "RewriteChoice",
        "parse_rewrites",
    ),
    "pocketvae.export.tuning.ladder": ("Tune",),
    "pocketvae.keras.custom_code": ("CustomCode",),
    "pocketvae.keras.model_form": ("DataFormat", "Role"),
}

__all__ = [
    "ANDROID_TEST_NAME",
    "Budget",
    "ChipWork",
    "CustomCode",
    "DataFormat",
    "DecoderOutput",
    "ExportConfig",
    "ExportResult",
    "ExternalModels",
    "PriorFit",
    "Recipe",
    "Rewrite",
    "RewriteChoice",
    "Role",
    "Tune",
    "Wanted",
    "check_android_test",
    "check_combinations",
    "check_triton",
    "default_memory_limit_bytes",
    "export_external_models",
    "export_run",
    "parse_rewrites",
    "plan_artifacts",
    "portability_warnings",
    "read_recipes",
    "write_android_test",
    "write_triton",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
