"""Writes the JSON schemas of pocketvae's documents beside this file. A test fails where they are not current."""

import json
from pathlib import Path

from pocketvae.apps import Calibration, ScoreResult
from pocketvae.benchmarks import BenchResult, Comparison, VerifyResult
from pocketvae.benchmarks.matrix import MatrixResult
from pocketvae.benchmarks.trends.trends import Trends
from pocketvae.bundle.embedded import EmbeddedRecord
from pocketvae.bundle.manifest import Manifest
from pocketvae.bundle.run import RunRecord
from pocketvae.distil import Distilled
from pocketvae.documents import json_schema
from pocketvae.export import Recipe
from pocketvae.train import Evaluation

DOCUMENTS = {
    "embedded": EmbeddedRecord,
    "manifest": Manifest,
    "recipe": Recipe,
    "run": RunRecord,
    "distilled": Distilled,
    "evaluation": Evaluation,
    "verify": VerifyResult,
    "bench": BenchResult,
    "calibration": Calibration,
    "score": ScoreResult,
    "comparison": Comparison,
    "matrix": MatrixResult,
    "history": Trends,
}


def schema_texts() -> dict[str, str]:
    """Returns file name to content."""
    return {
        f"{name}.schema.json": json.dumps(json_schema(kind), indent=2, sort_keys=True) + "\n"
        for name, kind in DOCUMENTS.items()
    }


if __name__ == "__main__":
    for file_name, text in schema_texts().items():
        (Path(__file__).parent / file_name).write_text(text, "utf-8")
