"""Messages between two programs: requests and responses in the shape of JSON-RPC, with arrays.

    {"block_bytes": 1234, "id": 7, "method": "run", "params": {...}}
    1234 bytes

The line is JSON. Where it announces a block, so many raw bytes follow it: arrays, in the safetensors format. The same
goes through the pipes of a child process, through ssh and in the body of an HTTP request; `envelope.mjs` is the same in
JavaScript.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any, TypeVar

from pocketvae.documents import from_data
from pocketvae.parsing import parse_json

LARGEST_BLOCK_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Request:
    """Asks another program to do something.

    Attributes:
        id: Of the response too.
        method: What to do.
        params: Its parameters, as JSON has them.
        block: Arrays, as `arrays.pack` writes them.
    """

    id: int
    method: str
    params: Any = None
    block: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no result.

    Attributes:
        type: Of the exception; `failures` says which there are.
        message: In words.
        data: What else the exception holds.
    """

    type: str
    message: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Response:
    """What came of a request: a result, or an error.

    Attributes:
        id: Of the request.
        result: As JSON has it.
        error: Why there is no result; None where there is one.
        block: Arrays, as `arrays.pack` writes them.
    """

    id: int
    result: Any = None
    error: Failure | None = None
    block: bytes = b""


_Message = TypeVar("_Message", Request, Response)


def encode(message: Request | Response) -> bytes:
    """Returns a message as it is sent: its line, and the block where there is one."""
    if isinstance(message, Request):
        said: dict[str, Any] = {"id": message.id, "method": message.method, "params": message.params}
    elif message.error is not None:
        said = {"id": message.id, "error": vars(message.error)}
    else:
        said = {"id": message.id, "result": message.result}
    if message.block:
        said["block_bytes"] = len(message.block)
    # Times and deviations may be infinite or NaN, which Python reads again.
    return json.dumps(said, sort_keys=True, allow_nan=True).encode() + b"\n" + message.block


def decode(kind: type[_Message], data: bytes) -> _Message:
    """Parses what `encode` returned.

    Raises:
        ValueError: the data is not such a message.
        EOFError: it is not the whole of one.
    """
    stream = io.BytesIO(data)
    return read(kind, stream.readline(), stream)


def read(kind: type[_Message], line: bytes, stream: IO[bytes]) -> _Message:
    """Parses a line, and reads the block behind it from the stream.

    Raises:
        ValueError: the line is not such a message.
        EOFError: the stream ends before the block does.
    """
    said = parse_json(line)
    if not isinstance(said, Mapping):
        raise ValueError("a message must be a JSON object")
    size = said.get("block_bytes", 0)
    if type(size) is not int or not 0 <= size <= LARGEST_BLOCK_BYTES:
        raise ValueError(f"a block must have 0 to {LARGEST_BLOCK_BYTES} bytes, got {size!r}")
    message = from_data(kind, {name: value for name, value in said.items() if name != "block_bytes"})
    block = stream.read(size)
    if len(block) != size:
        raise EOFError(f"a block of {size} bytes ends after {len(block)}")
    return replace(message, block=block)
