"""The names that the package and its rooms offer: loaded when they are used, and said alike in three places."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    str(init.relative_to(ROOT).parent).replace("/", ".")
    for room in ("core", "train", "export", "benchmarks", "apps", "distil", "udf", "cli")
    for init in (ROOT / room).rglob("__init__.py")
    if "lazy_names(" in init.read_text()
)
# What the docs say that `import pocketvae` gives.
WORDS = re.compile(r"\bpocketvae\.(?!toml)([A-Za-z_]\w*)")


def source_of(package):
    return ROOT / package.replace(".", "/") / "__init__.py"


def imported_name(package):
    return re.sub(r"^core\b", "pocketvae", package) if package.startswith("core") else f"pocketvae.{package}"


def names_for_type_checkers(package):
    """Returns the names that `if TYPE_CHECKING:` imports, with the modules that they come from."""
    found = {}
    for block in ast.parse(source_of(package).read_text()).body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for node in ast.walk(block):
                if isinstance(node, ast.ImportFrom):
                    found.update({alias.asname or alias.name: node.module for alias in node.names})
    return found


def test_the_rooms_are_found():
    assert {"core", "train", "export", "benchmarks", "apps", "distil", "udf"} <= set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_users_type_checkers_and_the_loader_see_the_same_names(package):
    module = importlib.import_module(imported_name(package))
    loaded = {name: home for home, names in module._MODULES.items() for name in names}
    assert sum(len(names) for names in module._MODULES.values()) == len(loaded)
    assert loaded == names_for_type_checkers(package)
    assert sorted(module.__all__) == sorted({*loaded, *({"__version__"} if package == "core" else ())})
    assert set(dir(module)) >= set(loaded)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_exists_and_is_documented(package):
    module = importlib.import_module(imported_name(package))
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value):
            assert value.__doc__, f"{imported_name(package)}.{name} has no docstring"


def test_what_the_docs_speak_of_exists():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {name for page in pages for name in WORDS.findall(page.read_text())}
    assert {"open", "open_runner", "apps"} <= named
    missing = []
    for name in sorted(named):
        try:
            getattr(importlib.import_module("pocketvae"), name)
        except AttributeError:
            if importlib.util.find_spec(f"pocketvae.{name}") is None:
                missing.append(name)
    assert missing == []


def test_an_unknown_public_name_is_an_attribute_error():
    import pocketvae

    with pytest.raises(AttributeError, match="has no attribute 'opne_bundle'"):
        _ = pocketvae.opne_bundle


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_room_imports_none_of_its_modules_and_no_library(package, tmp_path):
    name = imported_name(package)
    # A name of the room is then imported from the room, as users do.
    code = f"""
import sys
before = set(sys.modules)
import {name}
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    parents = {name.rsplit(".", count)[0] for count in range(name.count(".") + 1)}
    assert {one for one in loaded if one.split(".")[0] == "pocketvae"} <= {
        *parents,
        "pocketvae.lazy_names",
        "pocketvae.version",
    }
    assert {one.split(".")[0] for one in loaded} - {"pocketvae"} <= sys.stdlib_module_names
