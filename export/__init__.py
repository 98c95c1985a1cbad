"""The export room: a run directory in, a bundle out."""

from pocketvae.export.config import ExportConfig, check_combinations, plan_artifacts
from pocketvae.export.pipeline import ExportResult, export_run

__all__ = ["ExportConfig", "ExportResult", "check_combinations", "export_run", "plan_artifacts"]
