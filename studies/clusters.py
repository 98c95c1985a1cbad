"""Measures --cluster: time of score before and with it, one worker and two, memory by number of items, and kills.

From the repository's root, on Linux, with `pocketvae[ray]`:

    python studies/clusters.py demo --json benchmarks/history/DATE-clusters.json

Kills are by SIGKILL, of the command or of one of its workers in turn, at uniformly drawn moments. A command that was
killed is run again in the same folder; whenever one ends, its output must be that of one process, byte for byte.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from records import check_record, make_record, run_study, tell, warn_if_busy, write_record

from pocketvae.blocks.cluster import Cluster, connected
from pocketvae.blocks.columns import join_columns
from pocketvae.blocks.plan import Compute, plan
from pocketvae.blocks.pool import compute_blocks
from pocketvae.blocks.work_folder import WorkFolder, WorkManifest
from pocketvae.bundle.demo import located
from pocketvae.data.image_files import read_mnist
from pocketvae.errors import PocketVaeError, unknown_name
from pocketvae.models.model_bundle import open as open_models
from pocketvae.system.environment import current_environment
from pocketvae.version import VERSION

PARTS = ("before", "workers", "dispatch", "memory", "kills")
_LOOK_S = 0.1
_PROGRAM = "import sys; from pocketvae.cli.program import program; sys.exit(program())"
_WORKER = "ray::BlockWorker"


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 1 where kills lost or doubled an item, 2 for what cannot be done."""

    def run(arguments: argparse.Namespace) -> int:
        check_record(arguments.json, force=arguments.force)
        environment = current_environment()
        warn_if_busy(environment)
        with tempfile.TemporaryDirectory(prefix="clusters-") as folder:
            results = _measured(arguments, _Place(Path(folder), arguments.bundle))
        for name, value in results.items():
            print(f"{name}: {value}")
        if arguments.json:
            config = {"parts": arguments.parts, "items": arguments.items, "kills": arguments.kills}
            config |= {"sizes": arguments.sizes, "seed": arguments.seed}
            record = make_record(
                "clusters",
                sys.argv[1:] if words is None else words,
                config=config,
                environment=environment,
                results=results,
                not_run={part: "not asked for" for part in PARTS if part not in results},
            )
            write_record(arguments.json, record)
        return 1 if results.get("kills", {}).get("wrong_outputs") else 0

    return run_study("clusters", words, lambda given: _parser().parse_args(given), run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", help="bundle of grey images of up to 28x28, such as demo")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"comma-separated: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--before", type=Path, help="folder with another build of the package, to time side by side")
    parser.add_argument("--rounds", type=int, default=2, help="how often to time two builds (default: %(default)s)")
    parser.add_argument("--items", type=int, default=200_000, help="items to time with (default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=2000, help="empty blocks to give out (default: %(default)s)")
    parser.add_argument("--sizes", default="20000,200000", help="numbers of items to look at memory with")
    parser.add_argument("--kills", type=int, default=20, help="number of kills (default: %(default)s)")
    parser.add_argument("--killed-items", type=int, default=20_000, help="items of a command that is killed")
    parser.add_argument(
        "--within", metavar="S", type=float, help="kill within so many seconds (default: as long as a command takes)"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of the moments of kills")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write")
    parser.add_argument("--force", action="store_true", help="replace the record")
    return parser


def _measured(arguments: argparse.Namespace, place: _Place) -> dict[str, Any]:
    found: dict[str, Any] = {}
    asked = arguments.parts.split(",")
    for part in asked:
        if part not in PARTS:
            raise unknown_name("part", part, PARTS)
    for part in asked:
        tell(f"{part} ...")
        if part == "before":
            if arguments.before is None:
                raise PocketVaeError("--before FOLDER must name another build, made by pip install --target FOLDER")
            found[part] = _before_and_now(place, arguments.items, arguments.before, arguments.rounds)
        elif part == "workers":
            found[part] = _one_and_two(place, arguments.items)
        elif part == "dispatch":
            found[part] = _dispatch(place.folder, arguments.blocks)
        elif part == "memory":
            found[part] = [_memory(place, int(size)) for size in arguments.sizes.split(",")]
        else:
            rng = np.random.default_rng(arguments.seed)
            found[part] = _kills(place, arguments.kills, arguments.killed_items, arguments.within, rng)
    return found


@dataclasses.dataclass(frozen=True)
class _Place:
    """A folder for items and results, and the bundle."""

    folder: Path
    bundle: str

    def items(self, count: int) -> Path:
        """Returns a file of `count` digits, MNIST's again and again, each a little different; their middle if small."""
        path = self.folder / f"{count}.npy"
        if not path.exists():
            with open_models(located(self.bundle)) as bundle:
                height, width, _ = bundle.vae.image_shape
            top, left = (28 - height) // 2, (28 - width) // 2
            digits = read_mnist()[1][0][:, top : top + height, left : left + width]
            made = np.lib.format.open_memmap(path, "w+", np.uint8, (count, height, width, 1))
            for first in range(0, count, len(digits)):
                part = digits[: count - first]
                made[first : first + len(part)] = part ^ np.uint8(first // len(digits) % 8)
            made.flush()
        return path

    def score(self, count: int, out: str, *options: str) -> list[str]:
        """Returns the command that scores the digits."""
        calibration = self.folder / "normal.json"
        if not calibration.exists():
            normal = ["score", self.bundle, str(self.items(10_000)), "--calibrate"]
            command = [*normal, "--calibration", str(calibration), "--quiet"]
            subprocess.run([sys.executable, "-P", "-c", _PROGRAM, *command], check=True, stdout=subprocess.DEVNULL)
        words = ["score", self.bundle, str(self.items(count)), "--calibration", str(calibration), "--force"]
        return [sys.executable, "-P", "-c", _PROGRAM, *words, "--csv", str(self.folder / out), "--quiet", *options]


def _started(command: Sequence[str], site: Path | None = None) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    if site is not None:
        environment["PYTHONPATH"] = str(site.absolute())
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _before_and_now(place: _Place, count: int, site: Path, repeats: int) -> list[dict[str, Any]]:
    """Returns the times of two builds that run at the same time, each on a core; each begins first in turn."""
    rounds: list[dict[str, Any]] = []
    while len(rounds) < repeats:
        order = ("before", "now") if len(rounds) % 2 else ("now", "before")
        commands = {name: place.score(count, f"{name}.csv") for name in order}
        begun, names = time.monotonic(), {}
        for name, command in commands.items():
            names[_started(command, site if name == "before" else None).pid] = name
        times = {}
        while names:
            process_id, status, usage = os.wait3(0)
            if status:
                raise RuntimeError(f"the command ended with the status {status}")
            cpu_s = usage.ru_utime + usage.ru_stime
            times[names.pop(process_id)] = {
                "wall_s": round(time.monotonic() - begun, 2),
                "cpu_s": round(cpu_s, 2),
                "peak_mb": round(usage.ru_maxrss / 1024, 1),
            }
        _check_same(place.folder / "before.csv", place.folder / "now.csv")
        rounds.append({"times": times, "wall_ratio": round(times["now"]["wall_s"] / times["before"]["wall_s"], 4)})
        tell(f"  {rounds[-1]}")
    return rounds


def _check_same(one: Path, other: Path) -> None:
    if one.read_bytes() != other.read_bytes():
        raise RuntimeError(f"{one.name} and {other.name} differ")


def _one_and_two(place: _Place, count: int) -> dict[str, Any]:
    """Returns how long blocks take with one worker and with two, without the start of the cluster; in turns."""
    from pocketvae.apps.clusters import running

    compute, seconds = running.compute_blocks, dict[int, list[float]]()
    ended, afterwards = [0.0], []

    def timed(*given: Any, **options: Any) -> None:
        begun = time.monotonic()
        compute(*given, **options)
        ended[0] = time.monotonic()
        seconds.setdefault(given[1].workers, []).append(round(ended[0] - begun, 2))

    running.compute_blocks = timed
    try:
        for workers in (1, 2, 2, 1):
            _in_this_process(place.score(count, f"on-{workers}.csv", "--cluster", "local", "--workers", str(workers)))
            afterwards.append(round(time.monotonic() - ended[0], 2))
            tell(f"  {workers}: {seconds[workers][-1]} s, then {afterwards[-1]} s")
    finally:
        running.compute_blocks = compute
    _check_same(place.folder / "on-1.csv", place.folder / "on-2.csv")
    one, two = (statistics.median(seconds[workers]) for workers in (1, 2))
    return {
        "items": count,
        "one_worker_s": seconds[1],
        "two_workers_s": seconds[2],
        "speedup": round(one / two, 3),
        "items_per_second_of_one": round(count / one, 1),
        "ended_joined_and_written_s": afterwards,
    }


def _in_this_process(command: list[str]) -> None:
    from pocketvae.cli.main import main as run_command

    with contextlib.redirect_stdout(sys.stderr):
        code = run_command(command[4:])
    if code:
        raise RuntimeError(f"the command ended with {code}")


class _Nothing:
    """A job whose blocks cost only what giving out, writing and syncing a block costs."""

    @contextlib.contextmanager
    def open(self) -> Iterator[Compute]:
        """See `Job.open`."""
        yield lambda block: {"index": np.array([block.index])}


def _dispatch(folder: Path, count: int) -> dict[str, Any]:
    """Returns how many blocks a second one command gives out, receives and joins, when computing them takes no time."""
    work, cluster, blocks = WorkFolder(folder / "dispatch"), Cluster(address="local", workers=2), plan(count, 1)
    work.path.mkdir()
    work.begin(
        WorkManifest(command="dispatch", pocketvae=VERSION, model="", input="", options={}, block_items=1), force=True
    )
    with connected(cluster) as ray:
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        begun, own = time.monotonic(), time.process_time()
        compute_blocks(ray, cluster, _Nothing(), work.place, blocks, stage="dispatch", total=count)
        given, used = time.monotonic() - begun, time.process_time() - own
    begun = time.monotonic()
    join_columns(work, blocks)
    joined = time.monotonic() - begun
    return {
        "blocks": count,
        "blocks_per_second": round(count / given, 1),
        "cpu_of_the_command_per_block_ms": round(1000 * used / count, 3),
        "joined_per_second": round(count / joined, 1),
    }


def _memory(place: _Place, count: int) -> dict[str, Any]:
    """Returns the largest memory of the command and of a worker that is their own, not of files that they map."""
    command = place.score(count, f"memory-{count}.csv", "--cluster", "local", "--workers", "2")
    process, begun = _started(command), time.monotonic()
    own = psutil.Process(process.pid)
    most = {"command_mb": 0.0, "worker_mb": 0.0}
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            most["command_mb"] = max(most["command_mb"], _anonymous_mb(own))
            for worker in _workers(own):
                most["worker_mb"] = max(most["worker_mb"], _anonymous_mb(worker))
        time.sleep(_LOOK_S)
    if process.returncode:
        raise RuntimeError(f"the command ended with {process.returncode}")
    found = {"items": count, **most, "seconds": round(time.monotonic() - begun, 1)}
    tell(f"  {found}")
    return found


def _anonymous_mb(process: psutil.Process) -> float:
    memory = process.memory_info()
    return round((memory.rss - memory.shared) / 2**20, 1)


def _workers(command: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in command.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if _WORKER in " ".join(child.cmdline()):
                found.append(child)
    return found


def _kills(place: _Place, kills: int, count: int, within_s: float | None, rng: np.random.Generator) -> dict[str, Any]:
    """Kills the command and its workers in turn until there were enough, and compares every output with that of one."""
    whole = place.folder / "whole.csv"
    subprocess.run(place.score(count, whole.name), check=True, stdout=subprocess.DEVNULL)
    command = place.score(count, "killed.csv", "--cluster", "local", "--workers", "2")
    if within_s is None:
        begun = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        within_s = time.monotonic() - begun
    trials: list[dict[str, Any]] = []
    wrong, outputs = 0, 0
    while len(trials) < kills:
        wanted = "command" if len(trials) % 2 else "worker"
        process = _started(command)
        trial = _kill_once(process, wanted, float(rng.uniform(0, within_s)))
        if trial is not None:
            trials.append({"killed": wanted, **trial})
            tell(f"  {len(trials)} of {kills}: {trials[-1]}")
        if process.wait() == 0:
            outputs += 1
            wrong += whole.read_bytes() != (place.folder / "killed.csv").read_bytes()
        elif wanted == "worker":
            wrong += 1
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wrong += whole.read_bytes() != (place.folder / "killed.csv").read_bytes()
    left = sorted(path.name for path in place.folder.glob("*unfinished*"))
    return {
        "items": count,
        "trials": trials,
        "outputs_compared": outputs + 1,
        "wrong_outputs": wrong,
        "left_behind": left,
        "processes_left": len(list(_orphans())),
    }


def _kill_once(process: subprocess.Popen[bytes], wanted: str, delay_s: float) -> dict[str, float] | None:
    """Kills the command or a worker after a while; None where there was none any more."""
    deadline, own = time.monotonic() + delay_s, psutil.Process(process.pid)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(_LOOK_S / 10)
    # Before there are workers, the first one is waited for.
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            chosen = own if wanted == "command" else next(iter(_workers(own)), None)
            if chosen is not None:
                os.kill(chosen.pid, signal.SIGKILL)
                return {"after_s": round(delay_s, 2)}
        time.sleep(_LOOK_S / 10)
    return None


def _orphans() -> Iterator[psutil.Process]:
    """Yields workers whose command is gone, after they had time to notice."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (left := [p for p in psutil.process_iter() if _is_orphan(p)]):
        time.sleep(1)
    yield from [process for process in left if process.is_running()] if time.monotonic() >= deadline else []


def _is_orphan(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline())
        return _WORKER in words and process.parent() is not None and process.parents()[-1].pid == process.ppid()
    return False


if __name__ == "__main__":
    sys.exit(main())
