"""Values are escaped as the template's name says."""

import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest

from pocketvae.reporting import templates

ROOT = Path(__file__).parents[3]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Renders a template of a package that is written for the test."""
    # Another name for each test: an imported package stays.
    package = tmp_path / re.sub(r"\W", "_", f"pages_{tmp_path.name}")
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    templates._environment.cache_clear()

    def render(name, text, **values):
        (package / "templates" / name).write_text(text)
        return templates.render(package.name, name, values)

    yield render
    templates._environment.cache_clear()


def test_html_is_escaped_as_html(write):
    page = write("a.html.j2", "<p title='{{ x }}'>{{ x }}</p>", x="<a href='b'> & \"c\"")
    assert page.count("<") == page.count(">") == 2
    assert "&lt;a href=&#39;b&#39;&gt; &amp; &#34;c&#34;" in page


def test_markdown_is_escaped_as_markdown(write):
    assert write("a.md.j2", "| {{ x }} |\n", x="a|b\n`c`") == "| a\\|b \\`c\\` |\n"


def test_a_fence_inside_a_page_is_escaped_as_code(write):
    write("a.py.j2", "load({{ x|py_string }})\n", x="")
    text = write("b.md.j2", '{{ x }}\n```\n{% include "a.py.j2" %}\n```\n', x='a"|\n```')
    assert text == 'a"\\| \\`\\`\\`\n```\nload("a\\"|\\n```")\n```\n'


@pytest.mark.parametrize("text", ["a b", "x;y", "a\nb", '"', "a-b", "std::cout", None])
def test_text_in_code_goes_through_a_filter(write, text):
    with pytest.raises(ValueError, match="text in a template of code must go through a filter, such as kt_string, got"):
        write("a.cpp.j2", "{{ x }}", x=text)


def test_numbers_and_names_stand_for_themselves_in_code(write):
    assert write("a.kt.j2", "{{ a }} {{ b }} {{ c }}", a="z_mean", b=-0.5, c=[1, 28]) == "z_mean -0.5 [1, 28]"


def test_only_those_who_write_pages_pay_for_jinja(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b")
    code = (
        "import sys, pocketvae\nfrom pocketvae.cli.main import main\n"
        f"assert main(['verify', {str(path)!r}]) == 0\n"
        "assert 'jinja2' not in sys.modules\n"
        f"assert main(['verify', {str(path)!r}, '--markdown', {str(tmp_path / 'v.md')!r}]) == 0\n"
        "assert 'jinja2' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_missing_value_is_an_error(write):
    with pytest.raises(jinja2.UndefinedError, match="'x' is undefined"):
        write("a.md.j2", "{{ x }}")


def test_every_template_says_its_language():
    found = [path for room in ("core", "export", "benchmarks", "apps", "cli") for path in (ROOT / room).rglob("*.j2")]
    assert found
    code = {"cmake", "cpp", "dart", "kt", "kts", "mjs", "py", "swift", "ts", "tsx"}
    assert {path.name.split(".")[-2] for path in found} <= code | {"html", "md", "svg", "xml", "yaml"}
    for path in found:
        assert "|safe" not in re.sub(r"\s", "", path.read_text("utf-8")), path


def test_text_that_people_read_is_written_in_templates_and_charts_alone():
    tags = re.compile(r"<(html|body|table|tr|td|th|h[1-6]|ul|li|p|svg|rect|polyline|figure|div|span)\b[^a-z]")
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ("core", "train", "export", "benchmarks", "apps", "cli", "studies")
        for path in (ROOT / room).rglob("*.py")
        if tags.search(path.read_text("utf-8"))
    }
    assert found == {f"core/reporting/{name}.py" for name in ("charts", "timeline_chart", "trend_chart")}
