import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.blocks.plan import plan
from pocketvae.bundle.run import open_run
from pocketvae.cli.main import main
from pocketvae.errors import TargetError
from pocketvae.progress import ignore_progress
from pocketvae.train.shared_evaluation import NATS, ImportanceJob

pytestmark = pytest.mark.slow


@pytest.fixture
def job(small_run, small_npz):
    given = {"run": small_run, "source": str(small_npz), "skip_corrupt": False, "seed": 3}
    # As many threads as this process has.
    return ImportanceJob(**given, importance_samples=600, threads=0)


def test_a_block_is_what_this_process_makes_of_its_items(job):
    from pocketvae.train.config import TrainConfig
    from pocketvae.train.evaluated import evaluated_data, load_vae
    from pocketvae.train.evaluation import Evaluator
    from pocketvae.train.presets import with_overrides

    run = open_run(job.run)
    config = with_overrides(TrainConfig(), run.record.config)
    items = evaluated_data(run, job.source, config, skip_corrupt=False).test
    (block,) = plan(len(items), 64)
    with job.open() as compute:
        found = compute(block)[NATS]
    np.testing.assert_array_equal(found, Evaluator(load_vae(run), seed=3).importance_nats(items, 600))


def test_a_worker_with_another_tensorflow_computes_nothing(job):
    other = replace(job, versions=job.versions | {"tensorflow": "1.0"})
    with pytest.raises(TargetError, match="tensorflow is 1.0 there and "), other.open():
        pass


def test_other_test_items_are_other_work(job, small_data, tmp_path, monkeypatch):
    from pocketvae.blocks.cluster import Cluster
    from pocketvae.train import shared_evaluation

    found = []

    @contextlib.contextmanager
    def noted(out, manifest, **options):
        found.append(manifest.input)
        yield out

    monkeypatch.setattr(shared_evaluation, "work_folder", noted)
    monkeypatch.setattr(shared_evaluation, "shared", lambda *given, **options: {NATS: [0.0]})
    sharing = shared_evaluation.Sharing(cluster=Cluster(address="local"), out=tmp_path)
    same_size = small_data.validation.take(slice(len(small_data.test)))
    for data in (small_data, small_data, replace(small_data, test=same_size)):
        shared_evaluation.shared_nats(sharing, job, open_run(job.run), data, len(same_size), ignore_progress)
    assert found[0] == found[1] != found[2]


def test_a_worker_evaluates_as_this_process_does(small_run, small_npz, tmp_path, capsys):
    words = ["evaluate", str(small_run), "--data", str(small_npz), "--importance-samples", "300", "--images", "12"]
    found = []
    for name, options in (("here", []), ("there", ["--cluster", "local", "--workers", "1"])):
        path = tmp_path / f"{name}.json"
        assert main([*words, *options, "--json", str(path), "--quiet"]) == 0
        found.append(json.loads(path.read_text()))
    # The threads of an operation, another number in each process, change the order of sums.
    nats = [item["log_likelihood"].pop("negative_log_likelihood_nats") for item in found]
    assert nats[0] == pytest.approx(nats[1], rel=1e-6)
    assert found[0]["elbo"] == found[1]["elbo"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.json", "there.json"]


def test_options_of_clusters_need_one(small_run, capsys):
    assert main(["evaluate", str(small_run), "--workers", "2"]) == 2
    assert "--workers only applies to --cluster" in capsys.readouterr().err
