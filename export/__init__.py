"""The export room: a run directory or somebody's own models in, a bundle out."""

from pocketvae.custom_code import CustomCode
from pocketvae.export.budgets import Budget
from pocketvae.export.config import ExportConfig, check_combinations, default_memory_limit_bytes, plan_artifacts
from pocketvae.export.own_messages import OwnModels
from pocketvae.export.own_models import export_own_models
from pocketvae.export.own_roles import DecoderOutput
from pocketvae.export.pipeline import ExportResult, export_run
from pocketvae.export.portability_notes import portability_warnings
from pocketvae.export.recipe import Recipe, read_recipes
from pocketvae.export.rewrites.names import Rewrite, RewriteChoice, parse_rewrites
from pocketvae.model_form import Role

__all__ = [
    "Budget",
    "CustomCode",
    "DecoderOutput",
    "ExportConfig",
    "ExportResult",
    "OwnModels",
    "Recipe",
    "Rewrite",
    "RewriteChoice",
    "Role",
    "check_combinations",
    "default_memory_limit_bytes",
    "export_own_models",
    "export_run",
    "parse_rewrites",
    "plan_artifacts",
    "portability_warnings",
    "read_recipes",
]
