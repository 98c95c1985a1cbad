"""Progress in a notebook."""

import pytest

from pocketvae.notebook import NotebookProgress, line
from pocketvae.progress import Progress


def test_a_line_has_a_bar_and_the_time_that_is_left():
    text = line(Progress(stage="verifying <b>", done=2, total=8, detail="a & b"), 10.0)
    assert text.startswith('verifying &lt;b&gt; <progress value="2" max="8"')
    assert "2/8, about 30 s left a &amp; b" in text
    assert "left" not in line(Progress(stage="a", done=0, total=8), 0.0)
    assert "left" not in line(Progress(stage="a", done=8, total=8), 10.0)
    assert "about 5 min left" in line(Progress(stage="a", done=1, total=2), 300.0)


def test_one_line_is_updated(monkeypatch):
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    said = []

    class Handle:
        def update(self, content):
            said.append(("update", content.data))

    def show(content, display_id):
        said.append(("display", content.data))
        return Handle()

    monkeypatch.setattr(display, "display", show)
    progress = NotebookProgress()
    for done in range(100):
        progress(Progress(stage="a", done=done, total=99))
    kinds = [kind for kind, _ in said]
    assert kinds[0] == "display"
    assert set(kinds[1:]) == {"update"}
    # In the end it says so, and in between it does not flood the browser.
    assert "99/99" in said[-1][1]
    assert len(said) < 50
