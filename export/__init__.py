"""The export room: a run directory in, a bundle out."""

from pocketvae.export.config import ExportConfig, plan_artifacts
from pocketvae.export.pipeline import ExportResult, export_run

__all__ = ["ExportConfig", "ExportResult", "export_run", "plan_artifacts"]
