"""Child processes that decode many image files: each has a time limit, and none can take this process down.

Run as `python -m pocketvae.data.image_process`.
"""

from __future__ import annotations

import os
import queue
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np

from pocketvae.data.image_decoder import ImageReport, Pixels, collected_warnings, damaged, examine, resized
from pocketvae.errors import ChannelError
from pocketvae.processes.arrays import Arrays
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client, Handler, serve

COMMAND: Sequence[str] = (sys.executable, "-Pm", "pocketvae.data.image_process")
FILE_LIMIT_S = 10.0
_METHOD = "examine"
_BATCH = 512
_BATCH_BYTES = 2 << 20
# A network drive takes its time for every file, whatever is in it.
_EACH_S = 0.1
_START_LIMIT_S = 60.0
# The largest image in all the forms that decoding and sending it takes.
_MEMORY_BYTES = 2 << 30
_PROCESSES = 2

_Examined: TypeAlias = tuple[Path, ImageReport, Pixels | None]
_Answer: TypeAlias = Future[list[tuple[ImageReport, Pixels | None]]]


@dataclass(frozen=True, kw_only=True)
class ExamineFiles:
    """Asks for the reports on some files, and their pixels.

    Attributes:
        files: The files; a message is Unicode, a file's name may be any bytes.
        pixels: Whether to decode them.
        size: Height and width to scale them to; None keeps their own.
    """

    files: tuple[str, ...]
    pixels: bool
    size: tuple[int, int] | None = None


class ImageProcess:
    """Examines image files in child processes; a context manager that never leaves one behind."""

    def __init__(self, file_limit_s: float = FILE_LIMIT_S, size: tuple[int, int] | None = None) -> None:
        """Prepares the children, which start with the first files.

        Args:
            file_limit_s: Time after which a file is given up.
            size: Height and width that images are scaled to; None keeps their own.
        """
        self._file_limit_s, self._size = file_limit_s, size
        self._processes = [
            LineProcess(COMMAND, memory_limit_bytes=_MEMORY_BYTES) for _ in range(min(_PROCESSES, os.cpu_count() or 1))
        ]
        self._free: queue.SimpleQueue[Client] = queue.SimpleQueue()
        for process in self._processes:
            self._free.put(Client(process))
        self._started: set[Client] = set()
        self._threads = ThreadPoolExecutor(len(self._processes), thread_name_prefix="images")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.stop()
        self._threads.shutdown(cancel_futures=True)

    def headers(self, files: Sequence[Path]) -> Iterator[tuple[Path, ImageReport]]:
        """Yields the report on each file's header, in order."""
        for file, report, _ in self._examine(files, _BATCH, pixels=False):
            yield file, report

    def images(self, files: Sequence[Path], size_bytes: int = _BATCH_BYTES) -> Iterator[_Examined]:
        """Yields each file with its report and pixels `[H, W, 1 or 3] uint8`, None for one that cannot be used.

        Args:
            files: The files.
            size_bytes: Of one image, about, so that several go into one message.
        """
        return self._examine(files, max(1, min(_BATCH, _BATCH_BYTES // size_bytes)), pixels=True)

    def _examine(self, files: Sequence[Path], size: int, *, pixels: bool) -> Iterator[_Examined]:
        batches = deque(files[first : first + size] for first in range(0, len(files), size))
        running: deque[tuple[Sequence[Path], _Answer]] = deque()
        while batches or running:
            # One more than there are children, so that none waits for what is done with its answer.
            while batches and len(running) <= len(self._processes):
                batch = batches.popleft()
                running.append((batch, self._threads.submit(self._ask, batch, pixels)))
            batch, answer = running.popleft()
            yield from self._answered(batch, answer, pixels=pixels)

    def _answered(self, batch: Sequence[Path], answer: _Answer, *, pixels: bool) -> Iterator[_Examined]:
        try:
            found = answer.result()
        except ChannelError as e:
            if len(batch) == 1:
                yield batch[0], damaged(f"its decoder {_without_subject(e)}"), None
                return
            # Which file it was is found out by asking for them one by one.
            found, rest = [], [batch[index : index + 1] for index in range(len(batch))]
        else:
            rest = [batch[len(found) :]] if len(found) < len(batch) else []
        for file, (report, image) in zip(batch, found, strict=False):
            yield file, report, image
        for part in rest:
            yield from self._answered(part, self._threads.submit(self._ask, part, pixels), pixels=pixels)

    def _ask(self, files: Sequence[Path], pixels: bool) -> list[tuple[ImageReport, Pixels | None]]:
        request = ExamineFiles(files=tuple(map(_text_of, files)), pixels=pixels, size=self._size)
        limit_s = self._file_limit_s + _EACH_S * (len(files) - 1)
        client = self._free.get()
        try:
            if client not in self._started:
                # The time in which a child starts is no file's.
                client.call(_METHOD, replace(request, files=()), dict[str, ImageReport], _START_LIMIT_S)
                self._started.add(client)
            odd, arrays = client.call_with_arrays(_METHOD, request, {}, dict[str, ImageReport], limit_s)
        except ChannelError:
            self._started.discard(client)
            raise
        finally:
            self._free.put(client)
        found: list[tuple[ImageReport, Pixels | None]] = []
        start, flat = 0, arrays.get("pixels")
        for index, (height, width, channels) in enumerate(arrays["shapes"].tolist()):
            report = odd.get(str(index)) or ImageReport(width=width, height=height, channels=channels)
            image = None
            if flat is not None and not report.problem:
                stop = start + height * width * channels
                image, start = flat[start:stop].reshape(height, width, channels), stop
            found.append((report, image))
        return found


def _without_subject(error: ChannelError) -> str:
    return str(error).removeprefix("it ").removeprefix("its process ")


def _text_of(file: Path) -> str:
    return os.fsencode(file).decode("latin-1")


def _path_of(text: str) -> str:
    return os.fsdecode(text.encode("latin-1"))


def main() -> int:
    """Serves on the process's own pipes."""
    with collected_warnings() as caught:

        def examine_files(request: ExamineFiles, _: Arrays) -> tuple[object, Arrays]:
            """Examines files until their pixels fill a message; the rest is asked for again."""
            odd: dict[str, ImageReport] = {}
            shapes, parts, size = [], [], 0
            for index, file in enumerate(request.files):
                report, image = examine(_path_of(file), caught, pixels=request.pixels)
                if image is not None and request.size is not None:
                    image = resized(image, request.size)
                    report = replace(report, height=request.size[0], width=request.size[1])
                shapes.append(report.shape)
                if report.problem or report.note:
                    odd[str(index)] = report
                if image is not None:
                    parts.append(image.reshape(-1))
                    size += image.size
                if size >= _BATCH_BYTES:
                    break
            arrays: Arrays = {"shapes": np.array(shapes, np.int32).reshape(-1, 3)}
            return odd, arrays | ({"pixels": np.concatenate(parts)} if parts else {})

        serve({_METHOD: Handler(params=ExamineFiles, do=examine_files)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
