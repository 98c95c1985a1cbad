import ctypes
import mmap
import shutil
import subprocess

import pytest

from pocketvae.benchmarks.latency.measure import client_requests
from pocketvae.benchmarks.latency.measure.client_requests import Callgrind, requester
from pocketvae.errors import TargetError

needs_x86 = pytest.mark.skipif(
    client_requests.platform.machine() not in ("x86_64", "AMD64"), reason="client requests are known for x86-64 only"
)
# VALGRIND_DO_CLIENT_REQUEST_EXPR of valgrind.h for amd64, with the argument in rax and the answer in rdx.
_VALGRIND_H = """
    movq %rdi, %rax
    xorl %edx, %edx
    rolq $3, %rdi
    rolq $13, %rdi
    rolq $61, %rdi
    rolq $51, %rdi
    xchgq %rbx, %rbx
    movq %rdx, %rax
    ret
"""
_ANSWER, _RDI = bytes.fromhex("4889d0c3"), bytes.fromhex("4889f8c3")


def call(code, argument):
    """Runs machine code with its first argument in rdi and returns rax."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    return function(argument)


@needs_x86
@pytest.mark.parametrize("argument", [1, 0x0123456789ABCDEF, 2**64 - 2])
def test_outside_valgrind_the_answer_is_zero_and_the_register_is_what_it_was(argument):
    code = client_requests._X86_64
    assert code.endswith(_ANSWER)
    assert call(code, argument) == 0
    assert call(code.removesuffix(_ANSWER) + _RDI, argument) == argument


@needs_x86
@pytest.mark.skipif(shutil.which("as") is None, reason="no assembler (binutils) is installed")
def test_the_instructions_are_those_of_valgrind_s_header(tmp_path):
    (tmp_path / "request.s").write_text(_VALGRIND_H)
    subprocess.run(["as", "request.s", "-o", "request.o"], cwd=tmp_path, check=True)
    assert client_requests._X86_64 in (tmp_path / "request.o").read_bytes()


@needs_x86
def test_a_request_is_sent_with_its_number_and_no_arguments(monkeypatch):
    # Returns what the pointer in rdi points to, instead of asking valgrind.
    monkeypatch.setattr(client_requests, "_X86_64", bytes.fromhex("488b07 c3"))
    answers = []
    real = ctypes.CFUNCTYPE

    def recorded(*types):
        return lambda address: lambda argument: answers.append(real(*types)(address)(argument))

    monkeypatch.setattr(client_requests.ctypes, "CFUNCTYPE", recorded)
    send = requester()
    for request in Callgrind:
        send(request)
    # VG_USERREQ_TOOL_BASE('C', 'T') and callgrind.h.
    assert answers == [0x43540000, 0x43540001, 0x43540004, 0x43540005]


def test_another_processor_is_refused(monkeypatch):
    monkeypatch.setattr(client_requests.platform, "machine", lambda: "riscv64")
    with pytest.raises(TargetError, match="on x86-64, but this machine is riscv64"):
        requester()
