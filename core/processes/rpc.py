"""Methods of another program, called by name: one way to talk to a child process, another machine or a browser.

A client calls through a channel, which carries a request and brings its response. The other side is `serve`, in Python;
`node.mjs` and `page.mjs` are the same in JavaScript.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from pocketvae.documents import from_data, to_data
from pocketvae.errors import ChannelError, DataError, unknown_name
from pocketvae.processes.arrays import Arrays, pack, unpack
from pocketvae.processes.envelope import Request, Response, encode, read
from pocketvae.processes.failures import error_of, failure_of

_PARENT_INTERVAL_S = 0.5

_Params = TypeVar("_Params")
_Result = TypeVar("_Result")


class Channel(Protocol):
    """Carries requests to another program; `LineProcess` is one."""

    def ask(self, request: Request, time_limit_s: float) -> Response:
        """Sends a request and returns its response.

        Raises:
            ChannelError: there will be none.
        """

    def close(self) -> None:
        """Ends the other program."""


class Client:
    """Calls methods through a channel."""

    def __init__(self, channel: Channel) -> None:
        """Keeps the channel; whoever made it closes it."""
        self.channel = channel
        self._ids = itertools.count(1)

    def call(self, method: str, params: object, result: type[_Result], time_limit_s: float) -> _Result:
        """Calls a method and returns what it returned.

        Args:
            method: Its name.
            params: A dataclass, or None.
            result: The type of what it returns.
            time_limit_s: For the answer.

        Raises:
            ChannelError: the other program crashed, took too long, or sent what cannot be read.
            InternalError: it met an error that nobody raised on purpose.
            PocketVaeError: it refused; the exception is the one that was raised there.
        """
        return self.call_with_arrays(method, params, {}, result, time_limit_s)[0]

    def call_with_arrays(
        self, method: str, params: object, arrays: Mapping[str, Any], result: type[_Result], time_limit_s: float
    ) -> tuple[_Result, Arrays]:
        """Calls a method that takes and returns arrays by name, as `call` does."""
        request = Request(id=next(self._ids), method=method, params=to_data(params), block=pack(arrays))
        response = self.channel.ask(request, time_limit_s)
        if response.error is not None:
            raise error_of(response.error)
        try:
            return from_data(result, response.result), unpack(response.block)
        except (ValueError, DataError) as e:
            raise unreadable(e) from e


@dataclass(frozen=True, kw_only=True)
class Handler:
    """What a server does for one method.

    Attributes:
        params: Their type.
        do: Takes the parameters and the arrays, and returns the result and the arrays.
    """

    params: Any
    do: Callable[[Any, Arrays], tuple[object, Arrays]]


Handlers = Mapping[str, Handler]


def handler(params: type[_Params], do: Callable[[_Params], object]) -> Handler:
    """Returns a handler for a method that neither takes nor returns arrays."""
    return Handler(params=params, do=lambda given, _: (do(given), {}))


def respond(handlers: Handlers, request: Request) -> Response:
    """Does what was asked for; an error becomes part of the response."""
    try:
        if request.method not in handlers:
            raise unknown_name("method", request.method, handlers)
        chosen = handlers[request.method]
        result, arrays = chosen.do(from_data(chosen.params, request.params), unpack(request.block))
        return Response(id=request.id, result=to_data(result), block=pack(arrays))
    except Exception as e:  # a runtime or a converter may raise anything; the next request is still answered
        return Response(id=request.id, error=failure_of(e))


def serve(handlers: Handlers) -> None:
    """Answers each request of stdin on stdout until stdin ends.

    Native libraries print on stdout, so the responses get a descriptor of their own and stdout becomes stderr. A parent
    that was killed cannot end the child, so the child ends by itself.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    responses, requests = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)
    for line in requests:
        responses.write(encode(respond(handlers, read(Request, line, requests))))
        responses.flush()


def unreadable(error: Exception) -> ChannelError:
    """Builds the error for a response that is not what it must be."""
    said = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        said = f"{'.'.join(map(str, first['loc'])) or 'the result'}: {first['msg']}"
    return ChannelError(f"its answer cannot be read: {said}")


def _end_with(parent: int) -> None:
    while os.getppid() == parent and _is_running(parent):
        time.sleep(_PARENT_INTERVAL_S)
    os._exit(1)


def _is_running(parent: int) -> bool:
    """Whether a parent is still there, for Windows: elsewhere its child gets another parent when it ends."""
    if sys.platform == "win32":
        import psutil

        return bool(psutil.pid_exists(parent))
    return True
