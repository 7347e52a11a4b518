"""What ships: the wheel, in an environment that knows nothing of the checkout.

An editable install puts the whole checkout on the path: a forgotten room works in development and is missing
where it matters.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("lifeboat", "blocks", "tasks", "flows", "deployments", "cli")

IMPORT_EACH = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""
LOAD_COMMANDS = """
import json
from importlib.metadata import distribution
print(json.dumps({point.name: callable(point.load()) for point in distribution("lifeboat").entry_points}))
"""


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment outside the checkout, with the wheel inside and its dependencies on the path."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, script: str, *arguments: str) -> dict[str, object]:
        """What ``script`` prints as JSON; isolated from the present folder and from PYTHONPATH."""
        done = subprocess.run(
            [self.python, "-I", "-c", script, *arguments],
            cwd=self.folder,
            env={**os.environ, "PREFECT_HOME": str(self.folder / "prefect")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built with the locked hatchling and without a network."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("lifeboat-*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    environment = CleanEnvironment(tmp_path_factory.mktemp("clean") / "venv")
    venv.create(environment.folder, with_pip=True, symlinks=True)
    subprocess.run(
        [environment.python, "-I", "-m", "pip", "--quiet", "install", "--no-deps", "--no-index", str(wheel)],
        check=True,
    )
    # A .pth line adds the folder itself and reads no .pth inside it: the editable checkout stays out.
    dependencies = sysconfig.get_path("purelib")
    (purelib,) = environment.folder.glob("lib/python*/site-packages")
    (purelib / "dependencies.pth").write_text(dependencies + "\n")
    return environment


def module_names() -> list[str]:
    """Every module of every room in the checkout, as dotted names."""
    files = [path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files)


def test_rooms_of_the_checkout_are_exactly_the_rooms_that_ship() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    # benchmarks run from a checkout only
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks"} == set(ROOMS)
    assert set(shipped) == {*ROOMS, "policies", "recovery"}


def test_wheel_in_a_clean_environment_imports_every_module_from_itself(clean: CleanEnvironment) -> None:
    modules = module_names()
    assert set(ROOMS) <= set(modules)
    found = clean.run(IMPORT_EACH, *modules)
    strangers = {name: file for name, file in found.items() if not str(file).startswith(str(clean.folder))}
    assert strangers == {}
    assert sorted(found) == modules


def test_wheel_in_a_clean_environment_has_commands_that_load(clean: CleanEnvironment) -> None:
    assert clean.run(LOAD_COMMANDS) == {"lifeboat": True}


def test_wheel_contains_every_policy_as_it_stands_in_the_checkout(wheel: Path) -> None:
    policies = [path for path in (ROOT / "policies").iterdir() if path.is_file()]
    assert {"demo.yaml", "digital-automotive.yaml"} <= {path.name for path in policies}
    with zipfile.ZipFile(wheel) as archive:
        shipped = {path.name: archive.read(f"lifeboat/policies/{path.name}") for path in policies}
    assert shipped == {path.name: path.read_bytes() for path in policies}


def test_wheel_contains_the_script_that_restores_without_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("lifeboat/recovery/restore.sh") == (ROOT / "recovery/restore.sh").read_bytes()


def test_wheel_contains_every_file_of_every_room_and_no_test(wheel: Path) -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()]
    expected = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert expected - names == set()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(ROOMS)
