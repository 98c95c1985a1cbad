from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from pocketvae.errors import ArtifactFault, ChannelError, InternalError, SpecError, TargetError
from pocketvae.processes.arrays import pack
from pocketvae.processes.envelope import Response
from pocketvae.processes.rpc import Client, Handler, handler, respond


@dataclass(frozen=True, kw_only=True)
class Sum:
    values: tuple[int, ...]
    names: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Total:
    total: float


def stop(error):
    def do(_):
        raise error

    return handler(type(None), do)


class Here:
    """A channel to handlers in this process."""

    def __init__(self):
        self.requests = []

    def ask(self, request, time_limit_s):
        self.requests.append(request)
        return respond(
            {
                "sum": handler(Sum, lambda given: Total(total=sum(given.values))),
                "many": handler(Sum, lambda given: tuple(Total(total=value) for value in given.values)),
                "double": Handler(
                    params=type(None), do=lambda _, arrays: (None, {n: 2 * a for n, a in arrays.items()})
                ),
                "fault": stop(ArtifactFault("loads", "damaged")),
                "missing": stop(TargetError("no runtime")),
                "surprise": stop(ZeroDivisionError("by zero")),
            },
            request,
        )

    def close(self):
        pass


@pytest.fixture
def client():
    return Client(Here())


def test_a_method_is_called_with_its_parameters(client):
    assert client.call("sum", Sum(values=(1, 2)), Total, 1) == Total(total=3)
    assert client.call("many", Sum(values=(1, 2)), tuple[Total, ...], 1) == (Total(total=1), Total(total=2))


def test_every_request_has_a_number_of_its_own(client):
    for _ in range(3):
        client.call("sum", Sum(values=()), Total, 1)
    assert [request.id for request in client.channel.requests] == [1, 2, 3]


def test_arrays_go_there_and_back(client):
    result, arrays = client.call_with_arrays("double", None, {"x": np.array([1, 2], np.int32)}, type(None), 1)
    assert result is None
    assert arrays["x"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("method", "kind", "words"),
    [
        ("fault", ArtifactFault, "damaged"),
        ("missing", TargetError, "no runtime"),
        ("surprise", InternalError, "ZeroDivisionError: by zero"),
        ("summ", SpecError, "unknown method 'summ': did you mean 'sum'"),
    ],
)
def test_an_error_there_is_raised_here(client, method, kind, words):
    with pytest.raises(kind, match=words):
        client.call(method, None, Total, 1)


def test_parameters_of_another_type_are_an_error_there(client):
    with pytest.raises(InternalError, match="ValidationError: "):
        client.call("sum", Total(total=1), Total, 1)


def test_a_result_of_another_type_cannot_be_read(client):
    with pytest.raises(ChannelError, match="its answer cannot be read: values: Field required"):
        client.call("sum", Sum(values=()), Sum, 1)


def test_arrays_of_another_type_cannot_be_read(client, monkeypatch):
    from safetensors.numpy import save

    block = save({"x": np.zeros(1)})
    monkeypatch.setattr(client.channel, "ask", lambda request, _: Response(id=request.id, block=block))
    with pytest.raises(ChannelError, match="its answer cannot be read: the array 'x' has the unknown type 'F64'"):
        client.call("double", None, type(None), 1)
    whole = pack({"x": np.zeros(4, np.int8)})
    monkeypatch.setattr(client.channel, "ask", lambda request, _: replace(Response(id=request.id), block=whole[:-1]))
    with pytest.raises(ChannelError, match="its answer cannot be read: the block of arrays is damaged"):
        client.call("double", None, type(None), 1)
