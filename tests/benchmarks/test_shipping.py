"""What to ship of the files that run within their limits."""

from pocketvae.benchmarks.shipping import Candidate, choose


def candidate(name, kilobytes, time_us=None, *, share=None, estimate=False, inside=None):
    return Candidate(
        artifact=name,
        size_bytes=kilobytes * 1000,
        deviation="1 of 4",
        npu_share=share,
        time_s=None if time_us is None else time_us * 1e-6,
        is_estimate=estimate,
        cpu_operators=inside,
    )


def test_the_fastest_whole_file_is_shipped():
    choice = choose(
        [
            candidate("a", 10, 5, share=0.9, estimate=True),
            candidate("b", 20, 500, share=1.0, estimate=True),
            candidate("c", 10, 900, share=1.0, estimate=True),
        ]
    )
    assert choice.candidate.artifact == "b"
    assert choice.why == (
        "It is within its limits (1 of 4), has 20 kB, runs on the NPU as a whole, takes 500 µs estimated. "
        "It is the fastest of the 2 that qualify."
    )


def test_of_those_that_are_alike_the_smaller_is_shipped():
    choice = choose([candidate("a", 20, 100), candidate("b", 10, 109)])
    assert choice.candidate.artifact == "b"
    assert choice.why.endswith("It is the smallest of those within 10 % of the fastest; 2 qualify.")
    assert choose([candidate("a", 20, 100), candidate("b", 10, 111)]).candidate.artifact == "a"


def test_without_times_the_smallest_is_shipped():
    choice = choose([candidate("a", 20), candidate("b", 10)])
    assert choice.candidate.artifact == "b"
    assert choice.why.endswith(". It is the smallest of the 2 that qualify; times there are unknown.")
    assert choose([candidate("a", 204), candidate("b", 200)]).candidate.artifact == "b"
    assert choose([candidate("a", 20)]).why.endswith(", has 20 kB. No other file qualifies.")


def test_a_float_interface_may_stay_on_the_cpu():
    inside = candidate("b", 10, share=0.9, inside=1)
    choice = choose([candidate("a", 20, 100, share=0.8, inside=0, estimate=True), inside])
    assert choice.candidate.artifact == "a"
    assert "runs on the NPU but for its float interface" in choice.why


def test_nothing_is_shipped_that_is_not_whole():
    choice = choose([candidate("a", 20, share=0.5), candidate("b", 10, share=0.8)])
    assert choice.candidate is None
    assert choice.why == ("No file runs on the NPU as a whole: of b it takes 80%. Export with --for this chip.")
    assert choose([]).why == "No file runs within its limits."
