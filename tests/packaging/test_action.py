"""The action for GitHub, the pre-commit hook and the Dockerfile: what they name exists, and their scripts run here."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pocketvae.cli.main import build_parser

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"] if "id" in step}
SCHEMAS = {"github-actions": ROOT / "action.yml", "github-workflows": ROOT / "docs" / "github-actions.yml"}
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash, which runs the action's steps, is not here")


@pytest.fixture
def run_step(tmp_path):
    """Runs a step's script as GitHub's runner does and returns its exit code and the outputs that it set."""
    (tmp_path / "temp").mkdir()
    bin = tmp_path / "bin"
    bin.mkdir()
    program = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pocketvae.cli.program "$@"\n'
    (bin / "pocketvae").write_text(program)
    (bin / "pocketvae").chmod(0o755)

    def run(name, values, **variables):
        step, output = STEPS[name], tmp_path / "output"
        output.write_text("")
        given = {key: default(key) for key in ACTION["inputs"]} | values
        expressions = {f"inputs.{key}": value for key, value in given.items()}
        expressions |= {"steps.install.outputs.bin": str(bin), "github.action_path": str(ROOT)}
        expressions |= {"steps.verify.outputs.reports": str(tmp_path / "temp/pocketvae-reports")}
        expressions |= {"steps.verify.outputs.code": values.get("code", "")}
        expressions |= {"github.event.pull_request.number": "17"}
        environment = {key: fill(text, expressions) for key, text in step.get("env", {}).items()}
        runner = {"RUNNER_TEMP": str(tmp_path / "temp"), "GITHUB_OUTPUT": str(output)}
        runner |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_REPOSITORY": "owner/name"}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(
            command,
            env={**os.environ, **runner, **environment, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        sys.stdout.write(done.stdout + done.stderr)
        outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return done.returncode, outputs

    return run


def default(key):
    return ACTION["inputs"][key].get("default", "")


def fill(text, expressions):
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: expressions[match[1]], text)


def fake(tmp_path, name, script):
    folder = tmp_path / "fakes"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_they_are_what_github_expects(name):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{name}", str(SCHEMAS[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_value_is_pasted_into_a_script():
    assert [name for name, step in STEPS.items() if "${{" in step.get("run", "")] == []


def test_verify_reports_and_keeps_the_exit_code(run_step, tmp_path, bundles):
    (tmp_path / "model").mkdir()
    bundles.make_bundle(tmp_path / "model" / "bundle")
    code, outputs = run_step("verify", {"bundle": "model/bundle", "options": "--details"})
    assert (code, outputs["code"]) == (0, "0")
    reports = Path(outputs["reports"])
    assert {file.name for file in reports.iterdir()} == {"verify.json", "verify.xml", "verify.md", "verify.html"}
    assert json.loads((reports / "verify.json").read_text())["passed"]
    assert (tmp_path / "summary").read_text() == (reports / "verify.md").read_text()
    assert run_step("verdict", {"code": "0"})[0] == 0


def test_a_bundle_that_fails_ends_the_job_behind_the_reports(run_step, tmp_path, bundles):
    folder = tmp_path / "bundle"
    bundles.make_bundle(folder)
    spoiled = folder / "decoder.float32.onnx"
    spoiled.write_bytes(spoiled.read_bytes() + b"x")
    code, outputs = run_step("verify", {"bundle": "bundle"})
    assert (code, outputs["code"]) == (0, "1")
    assert spoiled.name in (Path(outputs["reports"]) / "verify.md").read_text()
    assert run_step("verdict", {"code": "1"})[0] == 1


def test_a_bundle_that_is_not_there_is_said_in_the_summary(run_step, tmp_path):
    code, outputs = run_step("verify", {"bundle": "nothing here"})
    assert (code, outputs["code"]) == (0, "2")
    assert "exit code 2" in (tmp_path / "summary").read_text()


def test_a_value_is_no_code(run_step, tmp_path):
    run_step("verify", {"bundle": "$(touch owned)", "options": "; touch owned"})
    assert not (tmp_path / "owned").exists()


def test_targets_other_than_this_machine_are_set_up(run_step, tmp_path):
    said = tmp_path / "said"
    (tmp_path / "bin" / "pocketvae").write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(said))}\n')
    assert run_step("targets", {"targets": "host,arm64,\nssh://pi@raspberry.local,android:X?gpu,\nnode\n"})[0] == 0
    lines = said.read_text().splitlines()
    assert lines == [f"targets setup {name} --yes" for name in ("arm64", "ssh://pi@raspberry.local", "node")]
    for line in lines:
        build_parser("targets").parse_args(line.split())


def test_the_workflow_to_copy_outlives_a_token_that_may_not_comment(tmp_path):
    steps = yaml.safe_load(SCHEMAS["github-workflows"].read_text("utf-8"))["jobs"]["verify"]["steps"]
    scripts = [step["run"] for step in steps if "gh pr" in step.get("run", "") or "SUMMARY" in step.get("run", "")]
    assert len(scripts) == 2
    environment = {**os.environ, **fake(tmp_path, "gh", "exit 1"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    for script in scripts:
        subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=True)


@pytest.mark.parametrize("text", ["--details --layers", "--details\n--layers\n", ""])
def test_options_may_stand_on_several_lines(run_step, tmp_path, text):
    said = tmp_path / "said"
    (tmp_path / "bin" / "pocketvae").write_text(f'#!/bin/sh\necho "$@" > {shlex.quote(str(said))}\n')
    assert run_step("verify", {"bundle": "b", "options": text})[0] == 0
    assert said.read_text().rstrip().endswith(f"verify.md {' '.join(text.split())}".rstrip())


@pytest.mark.parametrize(("code", "ends"), [(0, False), (3, False), (2, True)])
def test_a_device_of_a_fleet_that_does_not_answer_leaves_the_job_to_verify(run_step, tmp_path, code, ends):
    (tmp_path / "bin" / "pocketvae").write_text(f"#!/bin/sh\nexit {code}\n")
    assert (run_step("targets", {"targets": "fleet.toml"})[0] != 0) is ends


def test_a_comment_that_is_refused_warns(run_step, tmp_path):
    said = tmp_path / "said"
    path = fake(tmp_path, "gh", f'echo "$@" > {shlex.quote(str(said))}')
    assert run_step("comment", {}, **path)[0] == 0
    assert said.read_text().startswith("pr comment 17 --repo owner/name --body-file ")
    assert run_step("comment", {}, **fake(tmp_path, "gh", "exit 1"))[0] == 0


def test_install_takes_the_tested_versions(run_step, tmp_path):
    said = tmp_path / "said"
    inner = f"#!/bin/sh\\npwd > {said}; echo \\$@ >> {said}"
    made = f'for last; do :; done; mkdir -p "$last/bin"; printf "{inner}" > "$last/bin/python"'
    path = fake(tmp_path, "python", f'{made}; chmod +x "$last/bin/python"')
    code, outputs = run_step("install", {}, **path)
    assert (code, outputs) == (0, {"bin": str(tmp_path / "temp/pocketvae/bin")})
    where, command = said.read_text().splitlines()
    assert Path(where) == ROOT
    assert command == "-m pip install --quiet --constraint constraints.txt .[run]"


def test_the_hook_runs_verify_with_the_tested_versions():
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    words = [*shlex.split(hook["entry"]), "model/bundle"]
    assert words[0] == "pocketvae"
    assert build_parser(words[1]).parse_args(words[1:]).command == "verify"
    pinned = set((ROOT / "constraints.txt").read_text().splitlines())
    assert {name for name in hook["additional_dependencies"] if name not in pinned} == set()
    changed = (
        "model/bundle/decoder.int8.tflite",
        "model/bundle/manifest.json",
        "encoder.float32.onnx",
        "model/bundle/original/decoder.keras",
        "model/bundle/original/prior.h5",
        "pocketvae.toml",
    )
    assert [name for name in changed if not re.search(hook["files"], name)] == []
    assert not re.search(hook["files"], "README.md")


def test_the_image_is_built_from_what_is_there():
    text = (ROOT / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    rooms = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").is_file()} - {"tests"}
    assert rooms <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(kept) == sorted(copied)


@pytest.mark.slow
def test_the_package_builds_from_what_the_image_copies(tmp_path):
    text = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            source, goal = ROOT / name, tmp_path / "source" / name
            if source.is_dir():
                shutil.copytree(source, goal, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                goal.parent.mkdir(exist_ok=True)
                shutil.copy(source, goal)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--target", str(tmp_path / "site"), str(tmp_path / "source")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "site/pocketvae/mnist/train-images-idx3-ubyte.xz").is_file()
    assert (tmp_path / "site/pocketvae/cli/main.py").is_file()
