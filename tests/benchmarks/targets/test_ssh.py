"""A machine over ssh: addresses, and a real server on this machine's loopback with a key and a host key of its own."""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.fleet.config import parse_fleet
from pocketvae.benchmarks.fleet.run import verify_fleet
from pocketvae.benchmarks.remote.secure_shell import Address
from pocketvae.benchmarks.targets import make_target
from pocketvae.benchmarks.targets import ssh as ssh_module
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.errors import LeftoverWarning, SpecError, TargetError

SSHD = shutil.which("sshd") or (shutil.which("sshd", path="/usr/sbin:/usr/local/sbin"))


needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client is installed")


def test_addresses_are_parsed():
    assert Address.parse("//pi@raspberry.local:2222") == Address(
        user="pi", host="raspberry.local", port=2222, python=None
    )
    assert Address.parse("//[::1]").host == "::1"
    assert Address.parse("//pi?python=/home/my pi/bin/python").python == "/home/my pi/bin/python"


@pytest.mark.parametrize(
    "text", ["", "//", "//-oProxyCommand=x", "//a@-b", "//a b", "//host:99999", "//host:0", "//host/path", "//$(id)"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(SpecError, match="an address must be ssh://USER@HOST:PORT"):
        Address.parse(text)


def test_a_command_is_one_quoted_word_and_no_option():
    command = Address.parse("//me@there").command("echo 'a b' $HOME")
    assert command[-3:-1] == ["--", "there"]
    assert command[-1] == "exec sh -c 'echo '\"'\"'a b'\"'\"' $HOME'"
    assert not any("StrictHostKeyChecking" in word for word in command)


def test_no_address_is_no_target(capsys):
    assert make_target("ssh").unavailable() == "name a machine: ssh://user@host"
    assert main(["verify", "nothing", "--targets", "ssh://", "--quiet"]) == 2
    assert "an address must be ssh://USER@HOST:PORT" in capsys.readouterr().err


class Loopback:
    """An sshd that can be stopped in the middle."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
        (folder / "cache").mkdir()
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {folder}/host_key",
            f"AuthorizedKeysFile {folder}/authorized_keys",
            f"SetEnv XDG_CACHE_HOME={folder}/cache",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "PidFile none",
        ]
        (folder / "sshd_config").write_text("\n".join(lines) + "\n")
        self.write_client_config(f"[127.0.0.1]:{self.port} {(folder / 'host_key.pub').read_text()}")
        self.name = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}?python={sys.executable}"
        self.start()

    def write_client_config(self, known):
        (self.folder / "known_hosts").write_text(known)
        lines = [f"IdentityFile {self.folder}/user_key", f"UserKnownHostsFile {self.folder}/known_hosts"]
        (self.folder / "config").write_text(
            "\n".join([*lines, "GlobalKnownHostsFile none", "IdentityAgent none"]) + "\n"
        )

    def start(self):
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
            stderr=(self.folder / "log").open("ab"),
            start_new_session=True,
        )
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                pytest.skip(f"sshd does not start: {(self.folder / 'log').read_text()[-300:]}")
            time.sleep(0.05)
        self.stop()
        pytest.fail(f"sshd does not answer: {(self.folder / 'log').read_text()[-300:]}")

    def stop(self):
        """Ends the server and every connection, as a cable that is pulled does."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
        doomed = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
            doomed |= more
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def left_over(self):
        return [path for path in (self.folder / "cache" / "pocketvae").rglob("*") if path.is_file()]


@pytest.fixture
def loopback(tmp_path, monkeypatch):
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH server and client are installed")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    folder = tmp_path / "ssh"
    folder.mkdir()
    server = Loopback(folder)
    monkeypatch.setenv("POCKETVAE_SSH_CONFIG", str(folder / "config"))
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "here"))
    yield server
    server.stop()


def test_a_bundle_is_verified_there_and_nothing_is_left(loopback, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "it's a $bundle")
    result = verify_bundle(bundle, targets=("host", loopback.name))
    assert result.passed, result.not_run
    there = [check for check in result.checks if check.target == loopback.name]
    here = [check for check in result.checks if check.target == "host"]
    assert [(check.metric, check.value) for check in there] == [(check.metric, check.value) for check in here]
    assert loopback.left_over() == []
    assert not (tmp_path / "here").exists() or [p for p in (tmp_path / "here").rglob("*") if p.is_file()] == []


def test_times_are_measured_there(loopback, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    with make_target(loopback.name).open(bundle) as run:
        latency = run.latency(artifact, bundle.goldens(artifact.component).inputs, count=10)
        assert run.facts()["onnxruntime"]
    assert len(latency.values_s) == 10
    assert min(latency.values_s) > 0
    assert latency.load_s > 0
    assert latency.first_s > 0


def test_a_connection_that_is_lost_keeps_what_was_done(loopback, tmp_path, bundles, monkeypatch):
    monkeypatch.setattr("pocketvae.benchmarks.remote.response_cache._PAUSES_S", (0.0,))
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    first, second = bundle.manifest.artifacts
    with make_target(loopback.name).open(bundle) as run:
        outputs = run.run(first, bundle.goldens(first.component).inputs)
        loopback.stop()
        for _ in range(2):
            with pytest.raises(TargetError, match="the connection was lost: .*; 1 results are kept, and the same"):
                run.run(second, bundle.goldens(second.component).inputs)
    assert loopback.left_over() != []
    loopback.start()
    with make_target(loopback.name).open(bundle) as run:
        sent = []
        inner = run._client.channel._channel
        ask = inner.ask
        monkeypatch.setattr(inner, "ask", lambda request, limit: sent.append(request) or ask(request, limit))
        again = run.run(first, bundle.goldens(first.component).inputs)
        run.run(second, bundle.goldens(second.component).inputs)
    assert len(sent) == 1
    assert {name: values.tolist() for name, values in again.items()} == {
        name: values.tolist() for name, values in outputs.items()
    }
    assert loopback.left_over() == []


CRASHING = """
import os, sys
from pathlib import Path
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.processes.rpc import serve
run = RemoteRunner.run
RemoteRunner.run = lambda self, job, inputs: os.abort() if "decoder" in job.artifact else run(self, job, inputs)
serve(RemoteRunner(Path(sys.argv[1])).handlers())
"""


def test_an_artifact_that_crashes_there_costs_its_own_results_alone(loopback, tmp_path, bundles, monkeypatch):
    monkeypatch.setattr("pocketvae.benchmarks.remote.response_cache._PAUSES_S", (0.0,))
    (tmp_path / "crashing.py").write_text(CRASHING)
    python = tmp_path / "python"
    crashing = f'exec {sys.executable} {tmp_path}/crashing.py "$3"'
    python.write_text(f'#!/bin/sh\nulimit -c 0\ncase "$1" in -m) {crashing};; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    bundle = bundles.make_bundle(tmp_path / "b")
    result = verify_bundle(bundle, targets=(f"{loopback.name.partition('?')[0]}?python={python}",))
    (missing,) = result.not_run
    assert missing.artifact == "decoder.float32.onnx"
    assert "its process there ended without an answer, most likely by a signal" in missing.reason
    assert {check.artifact for check in result.checks} == {"encoder.float32.onnx"}
    assert loopback.left_over() == []


@needs_ssh
def test_a_machine_that_cannot_be_reached_costs_no_other_targets_results(tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        name = f"ssh://127.0.0.1:{closed.getsockname()[1]}?python=/usr/bin/python3"
        code = main(["verify", str(bundle), "--targets", f"host,{name}", "--json", str(tmp_path / "v.json"), "--quiet"])
    assert code == 3
    out = capsys.readouterr().out
    assert "127.0.0.1 cannot be reached" in out
    said = "0 of 2 artifacts match the original on every target; 2 could not be run, 2 of these match elsewhere"
    assert f"Incomplete: no check failed; {said}" in out


def test_one_bundle_is_run_there_once_at_a_time(loopback, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    first = bundle.manifest.artifacts[0]
    with make_target(loopback.name).open(bundle) as run:
        with pytest.raises(
            TargetError, match=r"another pocketvae is running this bundle on 127\.0\.0\.1: wait until it ends"
        ):
            make_target(loopback.name).open(bundle)
        assert "image" in run.run(first, bundle.goldens(first.component).inputs)


def test_two_users_of_one_machine_keep_their_copies_apart(loopback, tmp_path, bundles, monkeypatch):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    first = bundle.manifest.artifacts[0]
    with make_target(loopback.name).open(bundle) as run:
        monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "another"))
        make_target(loopback.name).open(bundle).close()
        assert "image" in run.run(first, bundle.goldens(first.component).inputs)
    assert loopback.left_over() == []


def test_a_runner_that_does_not_start_leaves_nothing(loopback, tmp_path, bundles, monkeypatch):
    monkeypatch.setattr("pocketvae.benchmarks.targets.ssh.WHEEL_NAME", "elsewhere/x.whl")
    monkeypatch.setattr("pocketvae.benchmarks.targets.ssh.wheel_bytes", lambda: b"no wheel")
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    name = loopback.name.partition("?")[0] + f"?python={tmp_path}/python"
    (tmp_path / "python").write_text(f'#!/bin/sh\ncase "$1" in -m) exit 9;; esac\nexec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(TargetError, match="ended with code 9"):
        make_target(name).open(bundle)
    assert loopback.left_over() == []


def test_copies_that_cannot_be_removed_are_named_and_cost_no_result(loopback, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    run = make_target(loopback.name).open(bundle)
    loopback.stop()
    with pytest.warns(LeftoverWarning, match="pocketvae/runs/[0-9a-f]{16}-[0-9a-f]{8} was left there: .* be reached"):
        run.close()


def test_an_interruption_is_not_swallowed_when_the_machine_has_gone(loopback, tmp_path, bundles):
    run = make_target(loopback.name).open(open_bundle(bundles.make_bundle(tmp_path / "b")))

    def interrupt():
        with run:
            loopback.stop()
            raise KeyboardInterrupt

    with pytest.warns(LeftoverWarning), pytest.raises(KeyboardInterrupt):
        interrupt()


def test_an_interpreter_that_is_too_old_is_refused_before_anything_is_copied(loopback, tmp_path, bundles):
    old = tmp_path / "python"
    old.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10); exec(sys.argv[1])" "$2"\n'
    )
    old.chmod(0o755)
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    name = f"{loopback.name.partition('?')[0]}?python={old}"
    with pytest.raises(TargetError, match=r"failed: Python 3\.11 or newer is needed there"):
        make_target(name).open(bundle)
    assert loopback.left_over() == []


def test_the_list_and_setup_ask_a_machine_that_is_named(loopback, capsys):
    assert main(["targets", "list", loopback.name]) == 0
    assert "works" in capsys.readouterr().out
    wrong = f"{loopback.name.partition('?')[0]}?python=/no/such"
    for action in ("list", "setup"):
        assert main(["targets", action, wrong]) == 3
        said = capsys.readouterr()
        assert "/no/such: not found" in said.out + said.err
        assert "works" not in said.out
    loopback.stop()
    assert main(["targets", "list", loopback.name]) == 3
    assert "cannot be reached" in capsys.readouterr().out
    loopback.start()


def test_what_a_login_shell_prints_is_no_answer(loopback, tmp_path, bundles):
    """The server runs another command first, as a shell that reads ~/.bashrc does."""
    config = loopback.folder / "sshd_config"
    greeting = 'printf "Welcome to the board"; eval "$SSH_ORIGINAL_COMMAND"'
    config.write_text(f"{config.read_text()}ForceCommand {greeting}\n")
    loopback.stop()
    loopback.start()
    assert verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=(loopback.name,)).passed
    assert loopback.left_over() == []


def test_no_script_has_a_line_break_since_csh_quotes_none(loopback, tmp_path, bundles, monkeypatch):
    commands = []
    command = Address.command
    monkeypatch.setattr(Address, "command", lambda self, script: commands.append(script) or command(self, script))
    verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=(loopback.name,))
    with pytest.raises(TargetError):
        ssh_module._make_environment(Address.parse("//127.0.0.1:1"))
    assert len(commands) > 5
    assert not [script for script in commands if "\n" in script]


def test_servers_are_devices_of_a_fleet(loopback, tmp_path, bundles):
    """Three servers; they are one machine, so they take turns, and one of them is gone."""
    others = []
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        others.append(Loopback(tmp_path / name))
    servers = [loopback, *others]
    config = [f"IdentityFile {server.folder}/user_key" for server in servers]
    config.append("UserKnownHostsFile " + " ".join(f"{server.folder}/known_hosts" for server in servers))
    (loopback.folder / "config").write_text("\n".join([*config, "GlobalKnownHostsFile none", "IdentityAgent none"]))
    try:
        others[1].stop()
        names = dict(zip(("first", "second", "third"), servers, strict=True))
        fleet = parse_fleet(
            {"devices": [{"name": name, "target": server.name} for name, server in names.items()]}, "fleet.toml"
        )
        result = verify_fleet(bundles.make_bundle(tmp_path / "b"), fleet).result
    finally:
        for server in others:
            server.stop()
    states = {device.name: device.state.value for device in result.fleet.devices}
    assert states == {"first": "done", "second": "done", "third": "lost"}
    assert "127.0.0.1 cannot be reached" in result.fleet.devices[2].reason
    values = {name: [check.value for check in result.checks if check.target == name] for name in names}
    assert values["first"] == values["second"] != []
    assert all(server.left_over() == [] for server in servers)


def test_a_fleet_that_was_interrupted_runs_again(loopback, tmp_path, bundles):
    """Interrupted while the server has the bundle; the second run needs nothing that the first one left."""
    bundle, fleet = bundles.make_bundle(tmp_path / "b"), tmp_path / "fleet.toml"
    fleet.write_text(f'[[devices]]\nname = "server"\ntarget = "{loopback.name}"\n')
    result = tmp_path / "v.json"
    code = "import sys; from pocketvae.cli.program import program; sys.exit(program())"
    words = ["verify", str(bundle), "--targets", str(fleet), "--json", str(result), "--quiet"]
    command = [sys.executable, "-P", "-c", code, *words]
    # Where the tests run in the background of a script, the signal is ignored, also by what they start.
    first = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    while first.poll() is None and not loopback.left_over():
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    # Where it has no time to remove the copies itself, a program that goes on does it.
    while loopback.left_over():
        time.sleep(0.05)
    assert json.loads(result.read_text())["fleet"]["devices"][0]["state"] in ("partial", "lost")
    assert subprocess.run(command, check=False).returncode == 0
    assert json.loads(result.read_text())["fleet"]["devices"][0]["state"] == "done"
    assert loopback.left_over() == []


def test_a_server_that_hangs_takes_no_longer_than_its_time_limit(loopback, tmp_path, bundles):
    """Its interpreter starts and says nothing."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$1" in -m) exec sleep 60;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    target = f"{loopback.name.partition('?')[0]}?python={python}"
    fleet = parse_fleet({"devices": [{"name": "slow", "target": target}], "time_limit_s": 4}, "fleet.toml")
    result = verify_fleet(bundles.make_bundle(tmp_path / "b"), fleet).result
    assert {item.reason for item in result.not_run} == {"its time limit of 4 s was over"}
    assert result.fleet.devices[0].elapsed_s < 15
    assert loopback.left_over() == []


def test_an_unknown_host_key_is_refused(loopback, tmp_path, bundles):
    loopback.write_client_config("")
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    with pytest.raises(TargetError, match="Host key verification failed"):
        make_target(loopback.name).open(bundle)


def test_a_machine_without_the_packages_says_so(loopback, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    name = loopback.name.partition("?")[0]
    with pytest.raises(TargetError, match=f"is not set up: run pocketvae targets setup {name}"):
        make_target(name).open(bundle)
