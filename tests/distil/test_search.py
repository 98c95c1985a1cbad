import pytest

from pocketvae.distil.config import Targets
from pocketvae.distil.record import Candidate
from pocketvae.distil.search import Search
from pocketvae.distil.students import Family, Student
from pocketvae.errors import SpecError
from pocketvae.progress import ignore_progress


def family(kind, widths):
    return tuple(Student(family=kind, width=width) for width in widths)


def searching(targets, cost):
    """A search in which a student of width w takes w times `cost` of its family, and the teacher 100."""

    def measure(student):
        latency = student.width * cost[student.family]
        size = 1000 * student.width
        return Candidate(
            student=student,
            multiply_adds=student.width**2,
            size_bytes=size,
            latency_us=latency,
            teacher_us=100.0,
            excess=targets.excess(latency_us=latency, teacher_us=100.0, size_bytes=size),
        )

    return Search(measure=measure, targets=targets, progress=ignore_progress)


@pytest.mark.parametrize("most", range(1, 14))
def test_the_widest_student_that_meets_the_target_is_found(most):
    search = searching(Targets(target_us=most * 1.06), {Family.DENSE: 1.0})
    (found,) = search.run([[family(Family.DENSE, range(1, 14))]], 4)
    assert found.student.width == most
    assert len(search.tried) <= 5


def test_the_trained_file_may_be_measured_a_little_slower():
    (found,) = searching(Targets(target_us=10), {Family.DENSE: 1.0}).run([[family(Family.DENSE, range(1, 14))]], 4)
    assert found.student.width == 9


def test_the_largest_and_one_of_each_kind_are_trained():
    cost = {Family.DENSE: 3.0, Family.STAGES: 1.0, Family.SHUFFLE: 1.5}
    families = [[family(kind, range(1, 14))] for kind in (Family.DENSE, Family.STAGES, Family.STAGES, Family.SHUFFLE)]
    found = searching(Targets(speedup=10), cost).run(families, 3)
    assert [(item.student.family, item.student.width) for item in found] == [
        (Family.STAGES, 9),
        (Family.SHUFFLE, 6),
        (Family.DENSE, 3),
    ]


def test_a_family_whose_narrowest_student_is_too_slow_is_left_out():
    cost = {Family.DENSE: 100.0, Family.STAGES: 1.0}
    families = [[family(kind, range(1, 14))] for kind in (Family.DENSE, Family.STAGES)]
    found = searching(Targets(speedup=10), cost).run(families, 4)
    assert [item.student.family for item in found] == [Family.STAGES]


def test_with_more_channels_than_one_that_is_too_slow_none_is_measured():
    search = searching(Targets(target_us=2), {Family.STAGES: 1.0})
    (found,) = search.run([[family(Family.STAGES, widths) for widths in ((1, 2), (3, 4), (5, 6))]], 4)
    assert found.student.width == 1
    assert [item.student.width for item in search.tried] == [1, 2, 3]


def test_a_target_that_none_meets_is_refused_with_the_closest():
    search = searching(Targets(max_kb=0.5), {Family.DENSE: 4.0})
    message = "no student reaches at most 0.5 kB with 5% to spare: the closest of 1, .*: 4.0 µs, 25.00 times as fast"
    with pytest.raises(SpecError, match=message):
        search.run([[family(Family.DENSE, range(1, 14))]], 4)
