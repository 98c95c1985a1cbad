from dataclasses import replace

import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.quantization import InputClipping, LayerDiagnosis, SearchRecord, SeedError, TrialRecord
from pocketvae.cli import quantization
from pocketvae.cli.main import main
from pocketvae.cli.terminal import Terminal
from pocketvae.documents import encode

SMALL = TrialRecord(size_bytes=1000, errors={"image p99_abs": 0.02}, error_ratio=1.2, latency_s=5e-6)
EXACT = TrialRecord(
    size_bytes=2000, errors={"image p99_abs": 0.01}, error_ratio=0.6, latency_s=9e-6, float_layers=("pixels",)
)


def layer(name, share, dead=()):
    return LayerDiagnosis(
        name=name,
        weight_count=10,
        error_ratio_alone=share,
        inside_calibrated=1.0,
        inside_integers=0.9,
        channels=8,
        dead_channels=dead,
    )


def seeds(*shares):
    return tuple(SeedError(seed=index, errors={}, error_ratio=share) for index, share in enumerate(shares))


SEARCH = SearchRecord(
    trial_count=7,
    chosen=EXACT,
    reason="the smallest file",
    front=(SMALL, EXACT),
    layers=(layer("hidden", 0.2, (3,)), layer("pixels", 1.1)),
    inputs=(InputClipping(input="z", low=-3, high=3, clipped={"prior": 0.0, "tails": 0.01}),),
    seeds=seeds(0.6, 0.7, 0.5),
)


@pytest.fixture
def artifact(tmp_path, bundles):
    return open_bundle(bundles.make_bundle(tmp_path / "b")).manifest.artifacts[0]


def printed(capsys, show, artifacts):
    with Terminal(quiet=True) as terminal:
        show(artifacts, terminal)
    return capsys.readouterr().out


def test_layers_in_4_bits_have_a_column_where_there_are_any(capsys, artifact):
    packed = replace(SMALL, size_bytes=500, four_bits=("a", "b", "c"))
    text = printed(
        capsys, quantization.print_fronts, [replace(artifact, search=replace(SEARCH, front=(packed, EXACT)))]
    )
    assert "in 4 bits" in text
    assert [line.split()[-1] for line in text.splitlines() if " 0.5 " in line] == ["3"]
    assert "in 4 bits" not in printed(capsys, quantization.print_fronts, [replace(artifact, search=SEARCH)])


def test_the_front_is_printed_with_the_chosen_variant_marked(capsys, artifact):
    text = printed(capsys, quantization.print_fronts, [replace(artifact, search=SEARCH)])
    small, exact = [line for line in text.splitlines() if "p99_abs" in line]
    assert "1.0" in small
    assert "120%" in small
    assert "chosen" not in small
    assert "2.0" in exact
    assert "60%" in exact
    assert "chosen" in exact


def test_a_chosen_variant_that_another_beats_is_shown_all_the_same(capsys, artifact):
    text = printed(capsys, quantization.print_fronts, [replace(artifact, search=replace(SEARCH, front=(SMALL,)))])
    assert text.count("p99_abs") == 2
    assert "chosen" in text


def test_findings_name_the_worst_layer_clipping_and_dead_channels(capsys, artifact, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = printed(capsys, quantization.print_searches, [replace(artifact, search=SEARCH)])
    for words in ("the smallest file", "pixels 110% of the budget", "z tails 1.00%", "1 of 16", "50% to 70%"):
        assert words in text


def test_artifacts_without_a_search_print_nothing(capsys, artifact):
    assert printed(capsys, quantization.print_fronts, [artifact]) == ""
    assert printed(capsys, quantization.print_searches, [artifact]) == ""


def test_a_seed_that_breaks_the_budget_is_warned_of_and_the_own_one_is_not(artifact):
    assert quantization.seed_warnings([replace(artifact, search=SEARCH)]) == []
    own = replace(artifact, search=replace(SEARCH, seeds=seeds(1.2, 0.9)))
    assert quantization.seed_warnings([own]) == []
    broken = replace(artifact, search=replace(SEARCH, seeds=seeds(0.9, 1.25, 0.8)))
    (line,) = quantization.seed_warnings([broken])
    assert "but not with others: 1 of 2 seeds, 1.25 times the limit" in line


def test_inspect_shows_the_fronts_of_a_bundle(tmp_path, bundles, capsys):
    path = bundles.make_bundle(tmp_path / "b")
    assert main(["inspect", str(path), "--pareto"]) == 0
    assert "no artifact of this bundle has a quantization search" in capsys.readouterr().out
    manifest = open_bundle(path).manifest
    searched = replace(manifest.artifacts[0], search=SEARCH)
    (path / "manifest.json").write_text(encode(replace(manifest, artifacts=(searched, *manifest.artifacts[1:]))))
    assert main(["inspect", str(path), "--pareto"]) == 0
    assert "chosen" in capsys.readouterr().out


def test_pareto_of_what_is_no_bundle_is_refused(tmp_path, capsys):
    assert main(["inspect", str(tmp_path), "--pareto"]) == 2
    assert "--pareto needs a bundle" in capsys.readouterr().err
