"""What was not run, as a terminal shows it."""

from pocketvae.benchmarks.not_run import NotRun, summed_up


def lost(count, target, reason="it is not set up"):
    return [NotRun(artifact=f"{target}{index}", target=target, reason=reason) for index in range(count)]


def test_many_with_one_reason_take_one_line():
    few, many = lost(3, "node"), lost(4, "android")
    assert summed_up(few * 2) == (*few,)
    other = lost(1, "android", "it crashed")
    assert summed_up([*few, *many, *other]) == (
        *few,
        NotRun(artifact="4 artifacts", target="android", reason="it is not set up"),
        *other,
    )
