"""Answers that outlive a connection."""

import sys
import time
from dataclasses import replace

import pytest

from pocketvae.benchmarks.remote.messages import Method
from pocketvae.benchmarks.remote.response_cache import ResponseCache, answers_token, copies_removed
from pocketvae.errors import ArtifactFault, ChannelError, TargetError
from pocketvae.processes.envelope import Failure, Request, Response
from pocketvae.processes.failures import failure_of
from pocketvae.system import leftovers

JOB = Request(id=7, method=Method.RUN, params={"artifact": "a"}, block=b"x")
OTHER = Request(id=8, method=Method.RUN, params={"artifact": "b"}, block=b"x")
GREETING = Request(id=6, method=Method.FACTS)


class Channel:
    """Answers with results from a list; an exception in it is raised, and a failure is sent."""

    def __init__(self, *answers):
        self.answers, self.asked, self.closed = list(answers), [], False

    def ask(self, request, time_limit_s):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Failure):
            return Response(id=request.id, error=answer)
        return Response(id=request.id, result=answer, block=b"y")

    def close(self):
        self.closed = True


def lost():
    return ChannelError("its process ended with code 255: Connection reset by peer", 255)


def gone():
    """Three attempts, and the question whether the other end is there."""
    return [lost() for _ in range(4)]


@pytest.fixture
def open_response_cache(tmp_path):
    pauses = []

    def make(*answers):
        response_cache = ResponseCache(Channel(*answers), tmp_path / "answers", pause=pauses.append)
        response_cache.pauses = pauses
        return response_cache

    return make


def test_a_connection_that_comes_back_is_no_error(open_response_cache):
    response_cache = open_response_cache(lost(), "yes")
    assert response_cache.ask(JOB, 1).result == "yes"
    assert response_cache.pauses == [1.0]


def test_one_that_does_not_says_how_to_go_on_and_is_not_tried_again(open_response_cache):
    response_cache = open_response_cache("yes", *gone())
    response_cache.ask(JOB, 1)
    for _ in range(2):
        with pytest.raises(
            ChannelError,
            match="the connection was lost: Connection reset by peer; 1 results are kept, and the same command",
        ):
            response_cache.ask(OTHER, 1)
    assert response_cache._channel.answers == []
    assert response_cache.pauses == [1.0, 4.0]


def test_what_was_done_is_not_asked_again(open_response_cache):
    broken = open_response_cache("hello", "yes", *gone())
    broken.ask(GREETING, 1)
    broken.ask(JOB, 1)
    with pytest.raises(ChannelError):
        broken.ask(OTHER, 1)
    broken.close()
    resumed = open_response_cache("hello", "two")
    assert resumed.ask(GREETING, 1).result == "hello"
    assert resumed.ask(JOB, 1).result == "yes"
    assert resumed.ask(OTHER, 1).result == "two"
    assert resumed._channel.asked == [GREETING, OTHER]


def test_what_another_version_answered_is_asked_again(open_response_cache):
    broken = open_response_cache("onnxruntime 1", "one", *gone())
    broken.ask(GREETING, 1)
    broken.ask(JOB, 1)
    with pytest.raises(ChannelError):
        broken.ask(OTHER, 1)
    broken.close()
    upgraded = open_response_cache("onnxruntime 2", "other")
    upgraded.ask(GREETING, 1)
    assert upgraded.ask(JOB, 1).result == "other"


def test_what_was_missing_is_asked_again(open_response_cache):
    missing = failure_of(TargetError("no such runtime"))
    broken = open_response_cache(missing, *gone())
    assert broken.ask(JOB, 1).error == missing
    with pytest.raises(ChannelError):
        broken.ask(OTHER, 1)
    broken.close()
    assert open_response_cache("yes").ask(JOB, 1).result == "yes"


def test_what_was_not_missing_is_not_asked_again_whatever_its_words(open_response_cache):
    """A result may say what a missing runtime would, and an artifact that is at fault stays so."""
    fault = failure_of(ArtifactFault("loads", 'damaged: "missing": true, "job": null'))
    broken = open_response_cache({"missing": True, "job": None}, fault, *gone())
    broken.ask(JOB, 1)
    broken.ask(OTHER, 1)
    with pytest.raises(ChannelError):
        broken.ask(replace(OTHER, block=b"another"), 1)
    broken.close()
    resumed = open_response_cache()
    assert resumed.ask(replace(JOB, id=1), 1) == Response(id=1, result={"missing": True, "job": None}, block=b"y")
    assert resumed.ask(OTHER, 1).error == fault


def test_a_run_that_ends_well_leaves_nothing(open_response_cache, tmp_path):
    response_cache = open_response_cache("yes")
    response_cache.ask(JOB, 1)
    assert list((tmp_path / "answers").iterdir())
    response_cache.close()
    assert response_cache._channel.closed
    assert not (tmp_path / "answers").exists()


def test_a_crash_at_the_other_end_is_no_lost_connection(open_response_cache):
    response_cache = open_response_cache(ChannelError("its process ended with code 1: no module", 1))
    with pytest.raises(ChannelError, match="no module"):
        response_cache.ask(JOB, 1)
    assert not response_cache.is_lost
    assert response_cache.pauses == []


def test_a_job_that_a_signal_ends_there_costs_no_other(open_response_cache):
    """ssh ends with one code for this and for a lost connection."""
    response_cache = open_response_cache(lost(), lost(), lost(), "hello", "yes")
    with pytest.raises(ChannelError, match="its process there ended without an answer, most likely by a signal") as e:
        response_cache.ask(JOB, 1)
    assert e.value.code is None
    assert not response_cache.is_lost
    assert response_cache._channel.asked[-1] == Request(id=JOB.id, method=Method.FACTS)
    assert response_cache.ask(OTHER, 1).result == "yes"


def test_a_response_that_cannot_be_kept_is_a_response(tmp_path):
    (tmp_path / "file").touch()
    assert ResponseCache(Channel("yes"), tmp_path / "file" / "answers").ask(JOB, 1).result == "yes"


def test_copies_are_removed_by_a_program_that_goes_on_when_the_process_ends_too_soon(tmp_path):
    copies, answers = tmp_path / "copies", tmp_path / "answers"
    copies.mkdir(), answers.mkdir()
    remove = [sys.executable, "-c", "import pathlib, sys; pathlib.Path(sys.argv[1]).rmdir()", str(copies)]
    token = answers_token(answers)
    with copies_removed(answers, remove):
        pass
    leftovers.settle_all()
    assert copies.exists()
    assert answers_token(answers) == token
    with copies_removed(answers, remove):
        leftovers.settle_all()
    while copies.exists():
        time.sleep(0.01)
    # The next run's copies must not be removed by a program that is late.
    assert answers_token(answers) != token
