"""Client requests to callgrind from the process that it runs: start and stop counting, write the counts.

A program sends requests to valgrind with a sequence of instructions that has no effect on a processor but that
valgrind recognizes: four rotations of %rdi by 128 bits in all, then an exchange of %rbx with itself, %rax pointing to
a request and its arguments (valgrind.h, and the manual's chapter on client requests). C programs get it from a macro;
here it is written to memory and called.
"""

from __future__ import annotations

import ctypes
import enum
import mmap
import platform
import sys
from collections.abc import Callable

from pocketvae.errors import TargetError

# mov rax, rdi; xor edx, edx; rol rdi by 3, 13, 61 and 51; xchg rbx, rbx; mov rax, rdx; ret
_X86_64 = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
_CALLGRIND = (ord("C") << 24) | (ord("T") << 16)
_WORDS = 6


class Callgrind(enum.IntEnum):
    """Requests to callgrind, as callgrind.h numbers them."""

    DUMP_STATS = _CALLGRIND
    ZERO_STATS = _CALLGRIND + 1
    START_INSTRUMENTATION = _CALLGRIND + 4
    STOP_INSTRUMENTATION = _CALLGRIND + 5


def requester() -> Callable[[Callgrind], None]:
    """Returns a function that sends a request; outside valgrind it does nothing.

    Raises:
        TargetError: the instruction sequence for this processor is unknown.
    """
    if sys.platform == "win32":
        raise TargetError("counting instructions needs Linux: valgrind does not run on Windows")
    if platform.machine() not in ("x86_64", "AMD64"):
        raise TargetError(f"instructions can only be counted on x86-64, but this machine is {platform.machine()}")
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(_X86_64)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)
    arguments = (ctypes.c_uint64 * _WORDS)()

    def send(request: Callgrind) -> None:
        # `code` is referenced here so that it lives as long as the function that calls it.
        assert not code.closed  # noqa: S101
        arguments[0] = request
        function(ctypes.addressof(arguments))

    return send
