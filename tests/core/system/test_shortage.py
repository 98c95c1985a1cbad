import errno

import pytest

from pocketvae.system.shortage import NO_MEMORY, NO_THREADS, shortage_in, shortage_of


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (
            "F0000 env.cc:42] Check failed: ret == 0 (11 vs. 0)Thread tf_data creation via pthread_create() failed.",
            NO_THREADS,
        ),
        (
            "terminate called after throwing 'std::system_error'\n  what():  Resource temporarily unavailable",
            NO_THREADS,
        ),
        ("libc++abi: thread constructor failed: Resource temporarily unavailable", NO_THREADS),
        ("OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 4", NO_THREADS),
        ("RuntimeError: can't start new thread", NO_THREADS),
        ("terminate called after throwing an instance of 'std::bad_alloc'", NO_MEMORY),
        ("loc(fused[\"a\"]): error: 'tfl.custom' op is not supported", None),
        ("", None),
    ],
)
def test_the_last_words_of_a_program_tell_what_ran_out(words, found):
    assert shortage_in(words) == found


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (RuntimeError("can't start new thread"), NO_THREADS),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), NO_THREADS),
        (RuntimeError("a fault"), None),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable", "a pipe"), None),
    ],
)
def test_an_exception_of_python_tells_it_too(error, found):
    assert shortage_of(error) == found
