from pocketvae.benchmarks.latency.show.notes import join_warnings, notes_legend, short_notes

WARNINGS = (
    "unstable: half of the calls are more than 12% off the median",
    "unstable: one call in ten takes 2.3 times the median",
    "unstable: the median is known to +-9%",
    "only 8 values",
    "unstable: the process had to wait 15% of the time",
)


def test_a_note_is_short_and_its_words_are_said_once():
    assert short_notes(WARNINGS) == "unstable: spread 12%, tail 2.3x, median +-9%, waited 15%; only 8 values"
    assert notes_legend([WARNINGS, WARNINGS]).count("tail: one call in ten takes") == 1
    assert "tail" not in notes_legend([WARNINGS[:1], ()])
    assert notes_legend([(), ("only 8 values", "it is hot")]) == ""


def test_what_has_no_short_form_stays_as_it_is():
    assert short_notes(("unstable: <wind>", "it is hot; very")) == "unstable: <wind>; it is hot; very"
    assert join_warnings(WARNINGS[:2]) == f"{WARNINGS[0]}; one call in ten takes 2.3 times the median"
