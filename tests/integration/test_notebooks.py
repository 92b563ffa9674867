"""Every notebook runs from top to bottom in a real kernel, and is kept without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    """No cell fails; assertions in the cells say what they show."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    printed = [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    assert printed


def test_the_page_of_notebooks_is_complete() -> None:
    """A notebook that no page links to is not found."""
    page = (NOTEBOOKS[0].parents[1] / "docs" / "notebooks.md").read_text("utf-8")
    assert [path.name for path in NOTEBOOKS if f"../notebooks/{path.name}" not in page] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_how_to_use_a_real_model(path: Path) -> None:
    """It runs without a key; a cell names the class that takes the stand-in's place."""
    told = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells)
    assert "real" in told
    assert "ChatOpenAI(" in told or "OpenAI(model=" in told


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    """Outputs would make every run a change, and may show what is on somebody's machine."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
