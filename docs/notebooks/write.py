"""Runs the notebooks beside this file and keeps their outputs; after a change: `python docs/notebooks/write.py`."""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Returns a notebook with the outputs that it has when it runs in a folder."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        # When a cell ran says nothing to a reader and differs each time.
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            # What is shown as HTML or as a picture needs no second form.
            if len(output.get("data", {})) > 1:
                output["data"].pop("text/plain", None)
    return notebook


if __name__ == "__main__":
    for file in sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(file, Path(folder)), file)
