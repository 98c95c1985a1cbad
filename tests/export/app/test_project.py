"""The project as a whole: what it holds, what is refused, and that it appears whole or not at all."""

import json

import pytest

from pocketvae.bundle.demo import demo_folder
from pocketvae.errors import ManifestError, OutputExistsError, SpecError
from pocketvae.export.app import MARKER, project, write_app
from pocketvae.export.app.plan import plan_app
from pocketvae.export.app.platforms import Platform
from pocketvae.export.app.project import project_files
from pocketvae.spec import Format
from pocketvae.system.files import sha256_file


@pytest.mark.parametrize("platform", Platform)
def test_every_platform_has_a_project(tmp_path, platform):
    plan = write_app(demo_folder(), platform, tmp_path / "app", name="Digits")
    files = {path.relative_to(tmp_path / "app").as_posix(): path for path in (tmp_path / "app").rglob("*")}
    assert {"README.md", "LICENSES.md", MARKER} <= set(files)
    record = json.loads(files[MARKER].read_text("utf-8"))
    assert record["platform"] == platform
    for part in plan.parts.values():
        copies = [path for name, path in files.items() if name.endswith(part.path)]
        assert copies
        assert {sha256_file(path) for path in copies} == {record["models"][part.path]}
    licences = files["LICENSES.md"].read_text("utf-8")
    assert "| the model | Apache-2.0 |" in licences
    text = files["README.md"].read_text("utf-8")
    assert text.startswith("# Digits for ")
    assert plan.bundle.manifest.name in text


def test_licences_are_of_the_runtimes_that_it_has(demo):
    both = project_files(plan_app(demo, (Format.TFLITE, Format.ONNX), "Digits"), Platform.WEB)["LICENSES.md"]
    assert "| LiteRT.js | [Apache-2.0]" in both
    assert "| onnxruntime-web | [MIT]" in both
    one = project_files(plan_app(demo, (Format.ONNX,), "Digits"), Platform.WEB)["LICENSES.md"]
    assert "LiteRT" not in one
    assert "| onnxruntime-web | [MIT]" in one


def test_bad_input_is_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "app"
    with pytest.raises(SpecError, match="unknown platform 'andriod'.*android"):
        write_app(demo_folder(), "andriod", out)
    with pytest.raises(SpecError, match="--name must be letters"):
        write_app(demo_folder(), "web", out, name="my app")
    with pytest.raises(ManifestError, match="is not a bundle"):
        write_app(tmp_path, "web", out)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_kept(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app/mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="app exists"):
        write_app(demo_folder(), "web", tmp_path / "app")
    assert (tmp_path / "app/mine.txt").read_text() == "mine"


LEFT_BY = {
    Platform.ANDROID: ".gradle/a .kotlin/sessions/a .idea/a build/a app/build/a local.properties",
    Platform.IOS: ".build/a .swiftpm/xcode/a Package.resolved xcuserdata/a DerivedData/a",
    Platform.WEB: "node_modules/a package-lock.json",
    Platform.FLUTTER: ".dart_tool/a build/a pubspec.lock .flutter-plugins .flutter-plugins-dependencies .idea/a",
    Platform.REACT_NATIVE: "node_modules/a package-lock.json",
}


@pytest.mark.parametrize("platform", Platform)
def test_what_tools_leave_in_a_project_is_nobodys(tmp_path, platform):
    write_app(demo_folder(), platform, tmp_path / "app")
    ignored = (tmp_path / "app/.gitignore").read_text("utf-8").split()
    for name in (*LEFT_BY[platform].split(), *(f"{line.strip('/')}/a" for line in ignored if line.endswith("/"))):
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).touch()
    write_app(demo_folder(), platform, tmp_path / "app", force=True)


def test_nothing_is_left_of_a_project_that_could_not_be_written(tmp_path, monkeypatch):
    written = []

    def write_some(path, content):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(project, "write_bytes", write_some)
    with pytest.raises(OSError, match="No space left"):
        write_app(demo_folder(), "web", tmp_path / "app")
    assert list(tmp_path.iterdir()) == []


def test_the_same_bundle_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        write_app(demo_folder(), "android", tmp_path / name)
    first, second = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    )
    assert first == second
