import os
import pathlib
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from pocketvae.blocks.cluster import (
    Cluster,
    _imported,
    _refused,
    _signals_kept,
    _without_sigterm,
    connected,
    local_workers,
)
from pocketvae.errors import SpecError, TargetError


@pytest.mark.parametrize(
    "address", ["", "remote", "ray://", "ray://host", "ray://host:0", "ray://host:99999", "http://h:1"]
)
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(SpecError, match=r"--cluster must be local, auto or ray://HOST:PORT, got"):
        Cluster(address=address)


@pytest.mark.parametrize("address", ["local", "auto", "ray://head:10001", "ray://[::1]:10001"])
def test_addresses(address):
    assert Cluster(address=address).address == address


@pytest.mark.parametrize("workers", [0, -1, 10_001])
def test_a_number_of_workers_that_cannot_be_meant_is_refused(workers):
    with pytest.raises(SpecError, match=f"--workers must be 1 to 10000, got {workers}"):
        Cluster(address="local", workers=workers)


def test_a_cluster_that_is_not_there_is_named_at_once():
    address = f"ray://127.0.0.1:{free_port()}"
    with (
        pytest.raises(TargetError, match=rf"no cluster answers at {address} .*start one with ray start"),
        connected(Cluster(address=address)),
    ):
        pass


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_machine_in_no_cluster_and_one_whose_cluster_has_ended_are_told_at_once(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    auto = Cluster(address="auto")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(TargetError, match=r"the Ray cluster of this machine, .*, does not answer"), connected(auto):
        pass
    from ray._private import services

    def none(address):
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr(services, "canonicalize_bootstrap_address", none)
    with pytest.raises(TargetError, match="part of no Ray cluster: join a cluster with ray start"), connected(auto):
        pass


@pytest.mark.parametrize("held", [False, True])
def test_signals_while_ray_begins_come_behind_it_and_go_to_their_own_handler(held):
    steps = []
    before = signal.signal(signal.SIGINT, lambda number, frame: steps.append("own"))
    try:
        with _signals_kept(held=held):
            signal.raise_signal(signal.SIGINT)
            steps.append("begun")
            # As Ray's native code does for SIGTERM.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert steps == (["begun", "own"] if held else ["own", "begun"])
        signal.raise_signal(signal.SIGINT)
        assert steps[-1] == "own"
        assert len(steps) == 3
    finally:
        signal.signal(signal.SIGINT, before)


def test_ray_does_not_take_the_place_of_the_own_handler():
    pytest.importorskip("ray", reason="Ray is not installed")
    ray, before = _imported(Cluster(address="local")), signal.getsignal(signal.SIGTERM)
    ray._private.utils.set_sigterm_handler(lambda number, frame: None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_ray_leaves_no_process_where_its_driver_is_killed(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    program = (
        "import psutil, sys; from pocketvae.blocks.cluster import Cluster, connected\n"
        "with connected(Cluster(address='local', workers=1)) as ray:\n"
        "    children = psutil.Process().children(recursive=True)\n"
        "    folder = ray._private.worker.global_worker.node.get_session_dir_path()\n"
        "    print(folder, *(child.pid for child in children), flush=True); sys.stdin.read()"
    )
    # As on macOS and on clusters: too long for Ray's sockets.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as driver:
        folder, *numbers = driver.stdout.readline().decode().split()
        children = [psutil.Process(int(number)) for number in numbers]
        driver.kill()
        _, alive = psutil.wait_procs(children, timeout=30)
    assert len(children) > 4
    # Where nobody collects it, it stays a zombie.
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    assert not pathlib.Path(folder).parent.exists()


@pytest.mark.posix
def test_sigterm_waits_while_ray_connects_and_goes_to_its_own_handler():
    steps = []

    def connect(step, *, more):
        signal.raise_signal(signal.SIGTERM)
        # As Ray's native code does.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        steps.extend([step, more])

    before = signal.signal(signal.SIGTERM, lambda number, frame: steps.append("own"))
    try:
        _without_sigterm(connect)("connected", more="more")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert steps == ["connected", "more", "own"]


def test_a_token_is_sent_to_a_cluster_elsewhere_if_there_is_one(monkeypatch, tmp_path):
    """As a cluster that was begun with `ray start` asks for by default; without one, the error names it."""
    pytest.importorskip("ray", reason="Ray is not installed")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    elsewhere = Cluster(address="ray://head:10001")
    _imported(elsewhere)
    assert "RAY_AUTH_MODE" not in os.environ
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("ab" * 32)
    _imported(elsewhere)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    refused = _refused("ray://head:10001", ConnectionError("ray client connection timeout"))
    assert "copy ~/.ray/auth_token of its head here" in str(refused)


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(TargetError, match=r"Ray is not installed: run pip install .*\[ray\]"),
        connected(Cluster(address="local")),
    ):
        pass


def test_ray_is_not_imported_where_no_cluster_is_asked_for(tmp_path):
    program = (
        "import sys; from pocketvae.cli.main import main; import pocketvae.apps.clusters.commands;"
        f"code = main(['generate', 'demo', '--out', {str(tmp_path / 'a.png')!r}]);"
        "sys.exit(code or 'ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", program], check=False).returncode == 0


def test_a_machine_has_at_least_one_worker():
    assert local_workers(1) >= 1
    assert local_workers(10_000) == 1
