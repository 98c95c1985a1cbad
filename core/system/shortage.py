"""What the system refuses when threads, processes or memory run out, as a sentence for the user.

Python, C++ and the runtimes each say it in their own words, some of them while they abort.
"""

from __future__ import annotations

import errno

NO_THREADS = (
    "the system refused to start another thread or process: raise the limit on them (ulimit -u, or the pids limit of a "
    "container), or run fewer programs at once"
)
NO_MEMORY = "the system refused more memory: end other programs, or use a machine or a container with more of it"

# In lower case: Python, glibc, libstdc++, libc++, TensorFlow and LLVM, oneDNN, onnxruntime, OpenBLAS.
_OF_THREADS = (
    "can't start new thread",
    "pthread_create",
    "thread constructor failed",
    "thread creation",
    "resource temporarily unavailable",
    "failed to create thread",
    "unable to create thread",
)
_OF_MEMORY = ("std::bad_alloc", "cannot allocate memory", "out of memory", "memoryerror")


def shortage_in(text: str) -> str | None:
    """Returns what ran out according to the last words of a program; None where they name no shortage."""
    lower = text.lower()
    if any(words in lower for words in _OF_THREADS):
        return NO_THREADS
    return NO_MEMORY if any(words in lower for words in _OF_MEMORY) else None


def shortage_of(error: BaseException) -> str | None:
    """Returns what ran out according to an exception of Python's own; None where it is another fault."""
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return NO_THREADS
    # What fork returns where no more processes are allowed. Files and sockets name theirs, or have other types.
    if isinstance(error, BlockingIOError) and error.errno == errno.EAGAIN and error.filename is None:
        return NO_THREADS
    return None
