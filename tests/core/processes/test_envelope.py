import io

import pytest

from pocketvae.processes.envelope import Failure, Request, Response, decode, encode, read

MESSAGES = [
    Request(id=1, method="run", params={"a": [1, 2.5, None]}, block=b"\n{raw\x00bytes\n"),
    Request(id=2, method="facts"),
    Response(id=3, result={"x": "y"}, block=b"z" * 100_000),
    Response(id=4, error=Failure(type="TargetError", message="no\nruntime", data={"check": "loads"})),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_come_back_as_they_were(message):
    assert decode(type(message), encode(message)) == message


def test_messages_follow_one_another_in_a_stream():
    stream = io.BytesIO(b"".join(map(encode, MESSAGES)))
    assert [read(type(message), stream.readline(), stream) for message in MESSAGES] == MESSAGES


def test_a_message_is_one_line_of_json_and_the_bytes_that_it_announces():
    assert encode(MESSAGES[0]) == (
        b'{"block_bytes": 12, "id": 1, "method": "run", "params": {"a": [1, 2.5, null]}}\n\n{raw\x00bytes\n'
    )


def test_infinite_values_come_back():
    said = decode(Response, encode(Response(id=1, result=[float("inf"), float("-inf"), float("nan")]))).result
    assert said[:2] == [float("inf"), float("-inf")]
    assert said[2] != said[2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]\n", "must be a JSON object"),
        (b"nothing\n", "Expecting value"),
        (b'{"id": 1, "block_bytes": -1}\n', "a block must have 0 to 1073741824 bytes, got -1"),
        (b'{"id": 1, "block_bytes": true}\n', "a block must have 0 to 1073741824 bytes, got True"),
        (b'{"id": 1, "block_bytes": 1073741825}\n', "a block must have 0 to 1073741824 bytes, got 1073741825"),
        (b'{"id": "one"}\n', "valid integer"),
    ],
)
def test_what_is_no_message_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        decode(Response, data)


def test_a_block_that_is_cut_off_is_refused():
    with pytest.raises(EOFError, match="a block of 12 bytes ends after 11"):
        decode(Request, encode(MESSAGES[0])[:-1])
