"""The habits of the house, held by a machine: rooms, imports, the clock, sizes, errors, pins, fragments."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lifeboat import errors

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("lifeboat", "blocks", "tasks", "flows", "deployments", "cli")
BIN = Path(sys.executable).parent


def source_files(*rooms: str) -> list[Path]:
    """Python files of these rooms, or of all."""
    return sorted(path for room in rooms or ROOMS for path in (ROOT / room).rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# Rooms


@pytest.mark.parametrize("room", [*ROOMS, "lifeboat/model", "lifeboat/adapters", "lifeboat/stages"])
def test_room_says_in_its_docstring_what_lives_there(room: str) -> None:
    tree = ast.parse((ROOT / room / "__init__.py").read_text())
    assert ast.get_docstring(tree), f"{room}/__init__.py says nothing"


@pytest.mark.parametrize("room", ROOMS)
def test_room_is_imported_from_this_repository_and_not_from_a_dependency_of_that_name(room: str) -> None:
    found = importlib.util.find_spec(room)
    assert found is not None
    assert found.origin == str(ROOT / room / "__init__.py")


def test_modules_have_at_most_300_lines() -> None:
    lines = {named(path): len(path.read_text().splitlines()) for path in source_files()}
    assert {name: count for name, count in lines.items() if count > 300} == {}


@pytest.mark.parametrize(("room", "decorator", "limit"), [("flows", "flow", 40), ("tasks", "task", 25)])
def test_bodies_of_flows_and_tasks_are_short(room: str, decorator: str, limit: int) -> None:
    lines = {
        f"{named(path)}:{function.name}": body_lines(function)
        for path in source_files(room)
        for function in decorated(path, decorator)
    }
    assert {name: count for name, count in lines.items() if count > limit} == {}


Function = ast.FunctionDef | ast.AsyncFunctionDef


def decorated(path: Path, decorator: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function) and decorator in map(last_name, node.decorator_list):
            yield node


def last_name(node: ast.expr) -> str:
    """``flow`` for ``@flow``, ``@flow(...)``, ``@prefect.flow`` and a base class spelled like that."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def body_lines(function: Function) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


# The direction of imports


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "lint-imports", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copied_rooms(tmp_path: Path) -> Path:
    """The rooms and their contracts, elsewhere, so that something can be planted in them."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_imports_run_one_way_in_the_whole_checkout() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("lifeboat/stages/planted.py", "import blocks", "Imports run one way"),
        ("tasks/planted.py", "import flows", "Imports run one way"),
        ("flows/planted.py", "import cli", "Imports run one way"),
        (
            "lifeboat/model/planted.py",
            "import lifeboat.adapters.store",
            "Inside lifeboat: model, adapters, stages",
        ),
        (
            "lifeboat/adapters/planted.py",
            "import lifeboat.stages",
            "Inside lifeboat: model, adapters, stages",
        ),
        ("lifeboat/stages/planted.py", "import prefect", "The meaning knows no Prefect"),
        ("lifeboat/model/planted.py", "import subprocess", "The model does no I/O"),
        ("lifeboat/model/planted.py", "import lifeboat.clock", "The model does no I/O"),
        ("lifeboat/model/planted.py", "import random", "The model does no I/O"),
    ],
)
def test_import_against_the_arrow_breaks_its_contract(
    copied_rooms: Path, module: str, statement: str, contract: str
) -> None:
    (copied_rooms / module).write_text(statement + "\n")
    done = lint_imports(copied_rooms)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


# The clock


def ruff_codes(filename: str, source: str) -> set[str]:
    """The rules that ``source`` would break as ``filename``, which need not exist."""
    done = subprocess.run(
        [BIN / "ruff", "check", "--no-cache", "--output-format=concise", "--stdin-filename", filename, "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return set(re.findall(r"^\S+: ([A-Z]+\d+) ", done.stdout, re.MULTILINE))


CLOCKS = [
    "import time\n\ntime.time()\n",
    "import time\n\ntime.time_ns()\n",
    "import time\n\ntime.monotonic()\n",
    "import time\n\ntime.monotonic_ns()\n",
    "import time\n\ntime.perf_counter()\n",
    "import time\n\ntime.perf_counter_ns()\n",
    "import time\n\ntime.sleep(1)\n",
    "from time import monotonic\n\nmonotonic()\n",
    "import datetime as dt\n\ndt.datetime.now(tz=dt.UTC)\n",
    "import datetime as dt\n\ndt.datetime.utcnow()\n",
    "import datetime as dt\n\ndt.datetime.today()\n",
    "from datetime import date\n\ndate.today()\n",
]


@pytest.mark.parametrize("source", CLOCKS)
@pytest.mark.parametrize("module", ["lifeboat/model/planted.py", "tasks/planted.py", "cli/planted.py"])
def test_asking_the_time_outside_the_clock_is_refused(module: str, source: str) -> None:
    assert "TID251" in ruff_codes(module, source)


@pytest.mark.parametrize("source", CLOCKS)
def test_asking_the_time_inside_the_clock_is_allowed(source: str) -> None:
    assert "TID251" not in ruff_codes("lifeboat/clock.py", source)


# Errors


def drawn_tree() -> dict[str, tuple[str, bool, bool]]:
    """The tree at the top of errors.py: each name with its parent, *may be repeated*, and *security*."""
    drawn: dict[str, tuple[str, bool, bool]] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r" {4}(?P<stem>(?:[│ ] {3})*(?:[├└]── )?)(?P<name>[A-Z]\w+) ", line)
        if match:
            depth = len(match["stem"]) // 4
            branch[depth:] = [match["name"]]
            parent = branch[depth - 1] if depth else "Exception"
            drawn[match["name"]] = (parent, "(may be repeated)" in line, "(security)" in line)
    return drawn


def every_error() -> list[type[errors.LifeboatError]]:
    found: list[type[errors.LifeboatError]] = [errors.LifeboatError]
    for error in found:
        found += error.__subclasses__()
    return found


def test_tree_at_the_top_of_errors_is_the_tree_of_the_classes() -> None:
    classes = {
        error.__name__: (
            error.__bases__[0].__name__,
            bool(vars(error).get("retryable")),
            bool(vars(error).get("security")),
        )
        for error in every_error()
        if error.__module__ == errors.__name__
    }
    assert drawn_tree() == classes


def test_errors_of_ours_live_in_errors_and_nowhere_else() -> None:
    ours = {error.__name__ for error in every_error()}
    strays = {
        f"{named(path)}:{node.name}"
        for path in source_files()
        if path != ROOT / "lifeboat/errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and ours & set(map(last_name, node.bases))
    }
    assert strays == set()


def test_exit_codes_in_the_document_are_those_of_the_classes() -> None:
    text = (ROOT / "docs/exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \|[^|]+\|([^|]*)\|$", text, re.MULTILINE)
    documented = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert documented == {
        error.__name__: error.exit_code for error in every_error() if error.__module__ == errors.__name__
    }
    assert {"0", "2"} <= {code for code, _ in rows}


# Pins


def pinned() -> dict[str, str]:
    """Name to version of every package in the lock."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_lock_satisfies_every_requirement_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    texts += [text for extra in project["project"]["optional-dependencies"].values() for text in extra]
    versions = pinned()
    unmet = [
        text
        for text, wanted in zip(texts, map(Requirement, texts), strict=True)
        if not wanted.specifier.contains(versions.get(canonicalize_name(wanted.name), "0"), prereleases=True)
    ]
    assert unmet == []


def test_lock_pins_every_package_by_hash() -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert len(packages) == len(pinned())
    assert [entry for entry in packages if "--hash=sha256:" not in entry] == []


# What is committed

UNSAYABLE = {
    # Put together here, so that this file does not say them either.
    "a package index": rb"index" + rb"[-_]url",
    "a registry's host": rb"pypi"
    + rb"\.org|pythonhosted"
    + rb"\.org|registry\.npmjs"
    + rb"\.org|deb\.debian"
    + rb"\.org",
    "a wheel by its address": rb"https?://[^ \"]+" + rb"\.whl",
    "a path of a developing machine": rb"(?<![\w.-])/" + rb"work/|/\.py" + rb"env/|file:" + rb"///opt",
}


def committed_files() -> list[Path]:
    """Files that git holds, or would hold at the next commit."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip(
            "git is not installed, or this is no git checkout: nothing tells which files are committed"
        )
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name.decode() for name in done.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_committed_files_name_no_registry_and_no_machine() -> None:
    said = [
        f"{named(path)} names {what}: {match[0].decode(errors='replace')}"
        for path in committed_files()
        for what, pattern in UNSAYABLE.items()
        if (match := re.search(pattern, path.read_bytes()))
    ]
    assert said == []


# Fragments

KINDS = ("Bugfix", "Change", "Enhancement", "Security")


def fragment_mistakes(text: str) -> list[str]:
    """What ``changelog.d/README.md`` asks of a fragment and this one lacks."""
    first, _, rest = text.partition("\n")
    rules: Iterable[tuple[bool, str]] = [
        (
            bool(re.match(rf"({'|'.join(KINDS)}): [A-Z]", first)),
            f"does not begin with one of {', '.join(KINDS)}",
        ),
        (len(first) <= 80, "has a first line of more than 80 characters"),
        (not first.endswith("."), "ends its first line with a full stop"),
        (rest.startswith("\n"), "has no empty second line"),
        ("Lifeboat now" in " ".join(rest.split()), "does not say what Lifeboat now does"),
        (text.endswith("\n") and not text.endswith("\n\n"), "does not end with one line feed"),
    ]
    return [mistake for holds, mistake in rules if not holds]


def test_fragments_follow_the_template() -> None:
    mistakes = {
        path.name: fragment_mistakes(path.read_text())
        for path in sorted((ROOT / "changelog.d").iterdir())
        if path.name != "README.md"
    }
    assert {name: found for name, found in mistakes.items() if found} == {}
    assert [name for name in mistakes if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*\.md", name)] == []


def test_example_in_the_template_follows_it() -> None:
    (example,) = re.findall(r"^```\n(.*?)^```$", (ROOT / "changelog.d/README.md").read_text(), re.M | re.S)
    assert fragment_mistakes(example) == []


def test_fragment_without_kind_or_effect_is_refused() -> None:
    assert fragment_mistakes("fix the thing.\nDone.") == [
        "does not begin with one of Bugfix, Change, Enhancement, Security",
        "ends its first line with a full stop",
        "has no empty second line",
        "does not say what Lifeboat now does",
        "does not end with one line feed",
    ]
