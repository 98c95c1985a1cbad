import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a student needs a target: give --speedup K"),
        (("--speedup", "1"), "--speedup must be above 1, got 1"),
        (("--target-us", "-3"), "--target-us must be positive and finite, got -3"),
        (("--max-kb", "nan"), "--max-kb must be positive and finite, got nan"),
        (("--speedup", "fast"), "--speedup"),
        (("--speedup", "2", "--steps", "0"), "--steps must be at least 1, got 0"),
        (("--speedup", "2", "--budget-nats", "0"), "--budget-nats must be positive"),
        (("--speedup", "2", "--sped", "1"), "--sped"),
        (("--speedup", "2", "--for", "hexagon"), "unknown Ethos-U accelerator"),
        (("--speedup", "2"), "is not a bundle"),
    ],
)
def test_nonsense_is_refused_in_a_line_or_two(refused, tmp_path, words, message):
    refused(message, "distil", tmp_path / "missing", "--out", tmp_path / "out", *words)
    assert not list(tmp_path.iterdir())


def test_force_replaces_only_what_distil_made(refused, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    words = ("distil", tmp_path, "--speedup", "2", "--out", tmp_path / "out")
    refused("--force only replaces an empty folder or one with a distilled.json", *words, "--force")
    refused("exists", *words)


@pytest.mark.slow
@pytest.mark.usefixtures("few_students")
def test_what_missed_a_budget_is_said_and_written_and_the_exit_code_is_1(command, tiny_run, tmp_path):
    words = ("--max-kb", "40", "--steps", "4", "--budget-db", "0.01", "--quiet")
    done = command("distil", tiny_run, "--out", tmp_path / "run", *words)
    assert done.code == 1, done
    assert "FAIL: ELBO loses " in done.out
    assert "FAIL: PSNR of reconstructions loses " in done.out
    assert "also tried: " in done.out
    assert f"run: {tmp_path / 'run'}" in done.out
    assert (tmp_path / "run" / "run.json").is_file()


@pytest.mark.slow
def test_what_meets_all_of_them_ends_with_0(command, tiny_run, tmp_path):
    words = ("--max-kb", "40", "--steps", "4", "--budget-nats", "10000", "--quiet")
    done = command("distil", tiny_run, "--out", tmp_path / "run", *words)
    assert done.code == 0, done
    assert "FAIL" not in done.out
    assert "budget 10000" in done.out
