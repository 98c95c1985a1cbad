import re
from html.parser import HTMLParser

import pytest

from pocketvae.benchmarks import BenchConfig, bench_bundle, verify_bundle, write_report
from pocketvae.benchmarks.report.contact_sheet import contact_rows
from pocketvae.bundle.bundle import open_bundle

_VOID = {"meta", "img", "br", "link", "input", "hr"}


class Checker(HTMLParser):
    """Checks that tags are balanced and that nothing is loaded from outside."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_data(self, data):
        self.text.append(data)


def check(path):
    checker = Checker()
    checker.feed(path.read_text())
    assert checker.open == []
    assert all(source.startswith("data:image/png;base64,") for source in checker.sources)
    assert "<script" not in path.read_text()
    return re.sub(r"\s+", " ", " ".join(checker.text))


@pytest.mark.usefixtures("few_values")
def test_the_report_is_one_file_with_every_figure(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b")
    bench = bench_bundle(path, BenchConfig(include_original=False))
    pictures = {"Samples <1>": contact_rows(open_bundle(path))[0].images_png}
    write_report(path, tmp_path / "r.html", verify_bundle(path), bench, pictures)
    text = check(tmp_path / "r.html")
    assert "All 2 artifacts match the original model." in text
    assert "99.5 nats" in text
    assert "data <made> & up" in text
    assert "Samples <1>" in text
    for row in bench.results:
        assert row.artifact in text


def test_a_failure_is_the_headline(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(bundles.right_weight() * 2))
    write_report(path, tmp_path / "r.html", verify_bundle(path))
    text = check(tmp_path / "r.html")
    assert "1 of 2 artifacts do not match the original model" in text
    assert "FAIL" in text


def test_damage_of_another_file_is_the_headline(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b")
    (path / "golden" / "z.npy").unlink()
    write_report(path, tmp_path / "r.html", verify_bundle(path))
    text = check(tmp_path / "r.html")
    said = "1 of 2 artifacts match the original; 1 other file is damaged: golden/z.npy; 1 could not be run."
    assert said in text
    assert "do not match" not in text


def test_the_contact_sheet_shows_what_differs(tmp_path, bundles):
    same = contact_rows(open_bundle(bundles.make_bundle(tmp_path / "same")))
    other = bundles.make_bundle(tmp_path / "other", decoder=bundles.decoder_model(bundles.right_weight() * 2))
    different = contact_rows(open_bundle(other))
    assert [row.name for row in same] == ["original", "decoder.float32.onnx"]
    assert same[0].images_png == different[0].images_png
    assert same[1].difference_png != different[1].difference_png
