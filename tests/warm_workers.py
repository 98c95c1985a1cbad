"""Processes of tests, forked from one that has imported what they need: TensorFlow, or the runtimes alone.

An export starts three workers, and the import takes most of a small export's time; the inspection of user-supplied
models and the timing of originals need it too. A benchmark starts a worker for each file, whose imports take ten times
as long as the calls that a test times. What is started in their place is a client of milliseconds, which passes
its pipes to a server and ends as the forked worker ends. There is a server for each combination of the variables that
TensorFlow and NumPy read; the first client that needs it starts it. Linux alone has what this takes; elsewhere, and in
tests of the process itself, workers start as they do for users.

    python warm_workers.py KIND FOLDER OWNER MODULE ARGUMENT ...   # the client: as `python -m MODULE ARGUMENT ...`
    python warm_workers.py serve KIND SOCKET OWNER                 # the server, which ends with the process OWNER

KIND is a key of `IMPORTS`.
"""

from __future__ import annotations

# What a client imports, hundreds of which are started, is kept to a few milliseconds.
import fcntl
import json
import os
import signal
import socket
import sys

# What Keras takes without the variable, and what pocketvae sets when it imports Keras 3.
DEFAULTS = [("KERAS_BACKEND", "tensorflow")]
READ_WHEN_IMPORTED = ("TF_", "XLA_", "KERAS_", "OMP_", "OPENBLAS_", "MKL_", "PYTHONPATH")
# Looked at this often, the owner's end leaves a server behind for no longer.
_LOOK_S = 1.0


def client(kind: str, folder: str, owner: str, module: str, *arguments: str) -> int:
    """Has a worker forked and ends as it ended: with its code, or by its signal."""
    with connection(kind, folder, owner) as server:
        request = {"module": module, "arguments": arguments, "environment": dict(os.environ), "directory": os.getcwd()}
        socket.send_fds(server, [b"\0"], [0, 1, 2])
        server.sendall(json.dumps(request).encode() + b"\n")
        # The pipes' ends must close with the worker's.
        for number in (0, 1, 2):
            os.close(number)
        ended = server.makefile().readline()
        if not ended:
            sys.exit("the server of warm workers ended before it took the request")
        code = int(ended)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def connection(kind: str, folder: str, owner: str) -> socket.socket:
    """Returns a connection to the server for this environment, which is started if there is none."""
    read = sorted(item for item in os.environ.items() if item[0].startswith(READ_WHEN_IMPORTED))
    read = [item for item in read if item not in DEFAULTS]
    name = str(abs(hash_of(json.dumps(read))))
    path = os.path.join(folder, kind[0] + name)
    os.makedirs(folder, exist_ok=True)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = socket.socket(socket.AF_UNIX)
        try:
            found.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):  # none was started, or it has ended
            import contextlib
            import subprocess

            for left in (path, path + ".bound"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(left)
            with open(path + ".log", "a") as log:
                command = [sys.executable, os.path.abspath(__file__), "serve", kind, path, owner]
                given = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "start_new_session": True}
                server = subprocess.Popen(command, **given)
            while not os.path.exists(path):
                if server.poll() is not None:
                    sys.exit(f"the server of warm workers ended with code {server.returncode}: see {path}.log")
                os.sched_yield()
            found.connect(path)
    return found


def hash_of(text: str) -> int:
    """Returns the same number in every process, which `hash` does not."""
    import zlib

    return zlib.crc32(text.encode())


def serve(kind: str, path: str, owner: int) -> int:
    """Forks a worker for each connection; ends with the owner."""
    import gc
    import selectors

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".bound")
    listener.listen(64)
    # Whoever sees the path can connect; it is answered after the imports.
    os.rename(path + ".bound", path)
    IMPORTS[kind]()
    gc.collect()
    gc.freeze()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ, None)
        while is_alive(owner):
            for key, _ in selector.select(_LOOK_S):
                if key.fileobj is listener:
                    accept(listener, selector)
                else:
                    key.data(key.fileobj)
    return 0


def accept(listener, selector) -> None:
    """Forks a worker; its end is told to the client, and the client's end ends it."""
    import contextlib
    import selectors

    asked, _ = listener.accept()
    pipes: list[int] = []
    try:
        _, pipes, _, _ = socket.recv_fds(asked, 1, 3)
        with asked.makefile("r") as lines:
            request = json.loads(lines.readline())
    except (OSError, ValueError):  # the client was ended before it had asked, as interrupted exports end theirs
        for number in pipes:
            os.close(number)
        asked.close()
        return
    pid = os.fork()
    if pid == 0:
        selector.close()
        listener.close()
        asked.close()
        os._exit(work(request, pipes))
    for number in pipes:
        os.close(number)
    ended = os.pidfd_open(pid)

    def leave(code: int) -> None:
        selector.unregister(ended)
        selector.unregister(asked)
        os.close(ended)
        with contextlib.suppress(OSError):  # the client may be gone
            asked.sendall(f"{code}\n".encode())
        asked.close()

    def reap(_) -> None:
        leave(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def client_ended(_) -> None:
        os.kill(pid, signal.SIGKILL)
        reap(_)

    selector.register(ended, selectors.EVENT_READ, reap)
    selector.register(asked, selectors.EVENT_READ, client_ended)


def work(request: dict, pipes: list[int]) -> int:
    """Is the worker, on the client's pipes and in its environment and directory."""
    import contextlib
    import importlib
    import tempfile
    import traceback

    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    os.environ.clear()
    os.environ.update(request["environment"])
    # The server found its own, which was another export's.
    tempfile.tempdir = None
    os.chdir(request["directory"])
    folder, module = os.path.split(request["module"])
    if folder:
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), folder))
    sys.argv = [module, *request["arguments"]]
    try:
        code = importlib.import_module(module).main() or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError):  # a program may close its own
            stream.flush()
    return code


def import_runtimes() -> None:
    """Imports what workers of benchmarks and decoders of images import.

    It starts nothing: threads would not survive the fork.
    """
    import onnxruntime  # noqa: F401
    import PIL.Image  # noqa: F401
    from ai_edge_litert import interpreter  # noqa: F401

    from pocketvae.benchmarks.latency.measure import peaks, worker  # noqa: F401
    from pocketvae.data import image_process  # noqa: F401

    # The fewest calls of each kind: tests/benchmarks/latency/analyse/test_roofline.py measures peaks in earnest.
    peaks._MATRIX_S = peaks._BLOCK_S = 0.0


def import_tensorflow() -> None:
    """Imports what a worker of an export imports, and starts nothing."""
    from pocketvae.keras import io

    assert io.import_tensorflow().lite.TFLiteConverter
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import tf2onnx.convert  # noqa: F401
    import tf_keras  # noqa: F401
    from ai_edge_litert import interpreter  # noqa: F401

    from pocketvae.benchmarks.latency.measure import original  # noqa: F401
    from pocketvae.export import worker  # noqa: F401
    from pocketvae.export.external import inspection  # noqa: F401

    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        import keras  # noqa: F401


def is_alive(process: int) -> bool:
    """Returns whether a process has not ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


IMPORTS = {"tensorflow": import_tensorflow, "runtimes": import_runtimes}

if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(serve(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    sys.exit(client(*sys.argv[1:]))
