"""The command line without a Prefect server: its edge, its policies and keys, and its document."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.main import get_command

from cli.commands_restore import parse_moment
from cli.main import DEFECT, app, run
from cli.output import table
from lifeboat.errors import LifeboatError

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/command-line.md").read_text()
MISTAKES = ROOT / "tests/golden/policy_mistakes.yaml"


# The edge


def test_command_that_succeeds_returns_0_and_writes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "check", "demo"]) == 0
    told = capsys.readouterr()
    assert "12 h between runs + 1 h until the backup is committed = 13 h" in told.out
    assert told.err == ""


def test_wrong_policy_tells_every_mistake_on_stderr_and_returns_3(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["policy", "check", str(MISTAKES)]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    count = int(re.search(r"has (\d+) mistakes", told.err)[1])  # type: ignore[index]
    assert count > 10
    assert len(re.findall(r"^  At '", told.err, re.MULTILINE)) == count


def test_wrong_policy_as_json_is_a_document_with_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "check", str(MISTAKES), "--json"]) == 3
    told = capsys.readouterr()
    error = json.loads(told.out)["error"]
    assert error["kind"] == "PolicyError"
    assert len(error["problems"]) > 10
    assert all(problem["message"] for problem in error["problems"])
    assert told.err == ""


def test_refusal_shows_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "check", "nosuch"]) == 3
    assert "→ give the path of a policy file, or the name of a shipped policy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["nosuch"], ["policy", "check"], ["list", "--nosuch"], ["restore", "demo", "main", "--target", "x"], []],
)
def test_wrong_command_line_returns_2(arguments: list[str]) -> None:
    assert run(arguments) == 2


def test_wrong_command_line_as_json_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["restore", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["kind"], error["message"]) == ("UsageError", "Missing argument 'ENV'.")


CANARY = "S3CRET-in-a-variable"


def raises(error: BaseException) -> Any:
    def read(path: Path, password: str = CANARY) -> None:
        raise error

    return read


def test_defect_returns_70_with_a_traceback_that_holds_no_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifeboat.adapters.policy_file.read_policy", raises(ZeroDivisionError("boom")))
    assert run(["policy", "check", "demo", "--json"]) == DEFECT == 70
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["kind"] == "Defect"
    assert "ZeroDivisionError: boom" in told.err
    assert "raise error" in told.err
    assert CANARY not in told.err


def test_interrupt_returns_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifeboat.adapters.policy_file.read_policy", raises(KeyboardInterrupt()))
    assert run(["policy", "check", "demo"]) == 130
    assert "Ended from the keyboard" in capsys.readouterr().err


@pytest.mark.parametrize("error", LifeboatError.__subclasses__(), ids=lambda error: error.__name__)
def test_error_returns_the_code_of_its_class(
    error: type[LifeboatError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = error.__new__(error)
    LifeboatError.__init__(made, "no", hint="do this")
    made.__dict__.setdefault("problems", ())
    monkeypatch.setattr("lifeboat.adapters.policy_file.read_policy", raises(made))
    assert run(["policy", "check", "demo", "--json"]) == error.exit_code
    told = json.loads(capsys.readouterr().out)["error"]
    assert (told["kind"], told["message"], told["hint"]) == (error.__name__, "no", "do this")


def test_markup_and_control_characters_in_a_name_are_shown_and_not_obeyed() -> None:
    screen = Console(width=80, record=True, force_terminal=True)
    screen.print(table(["[red]name[/red]"], [["[bold]x[/bold] \x1b[2J\r y"]]))
    shown = screen.export_text()
    assert "[bold]x[/bold] \\x1b[2J\\r y" in shown


# What starts fast stays fast


def test_help_and_policy_check_import_neither_prefect_nor_ssh() -> None:
    script = (
        "import sys; from cli.main import run\n"
        "codes = run(['--help']), run(['policy', 'check', 'demo']), run(['policy', 'schema'])\n"
        "heavy = {'prefect', 'asyncssh', 'psycopg', 'sshfs', 'azure'} & set(sys.modules)\n"
        "print(codes, heavy, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "(0, 0, 0) set()"


def test_program_started_as_a_process_exits_with_the_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "policy", "check", "nosuch"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: there is no policy file 'nosuch'")


def test_schema_is_that_of_the_policy_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["title"] == "Lifeboat policy" and "environments" in schema["properties"]


# Keys


@pytest.mark.parametrize(
    ("kind", "private", "public"),
    [
        ("identity", "AGE-SECRET-KEY-1", "age1"),
        ("index", "AGE-SECRET-KEY-1", "age1"),
        ("signing", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----"),
    ],
)
def test_keygen_writes_the_private_part_to_a_0400_file_and_prints_the_public_part_only(
    kind: str, private: str, public: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key"
    assert run(["keygen", kind, "--out", str(file)]) == 0
    told = capsys.readouterr()
    text = file.read_text()
    secret = [line for line in text.splitlines() if not line.startswith(("#", "-----"))]
    assert private in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert told.out.startswith(public)
    assert not [line for line in secret if line in told.out + told.err]


def test_keygen_never_overwrites_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    assert run(["keygen", "identity", "--out", str(file)]) == 0
    before = file.read_bytes()
    capsys.readouterr()
    assert run(["keygen", "identity", "--out", str(file), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "ConfigurationError"
    assert file.read_bytes() == before


def test_keygen_into_a_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keygen", "signing", "--out", str(tmp_path / "missing/key")]) == 3
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_identity_of_keygen_is_read_back_by_a_restore(tmp_path: Path) -> None:
    from lifeboat.stages.fetch import read_identities

    assert run(["keygen", "identity", "--out", str(tmp_path / "key")]) == 0
    (identity,) = read_identities(tmp_path / "key")
    assert identity.startswith("AGE-SECRET-KEY-1")


# Without a Prefect API


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["list", "demo"], ["backup", "demo"], ["retention", "demo"], ["show", "demo", "x"]],
)
def test_command_that_needs_the_api_refuses_when_none_is_configured(
    arguments: list[str], tmp_path: Path
) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PREFECT_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "LIFEBOAT_POLICY": "demo",
    }
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (3, "ConfigurationError")
    assert "PREFECT_API_URL is not set" in error["message"]
    assert not list(tmp_path.rglob("*.db")), "a server of its own was started"


# Times


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T14:00", "2026-11-23T13:00:00+00:00"),
        ("2026-07-01 14:00", "2026-07-01T12:00:00+00:00"),
        ("2026-11-23T14:00Z", "2026-11-23T14:00:00+00:00"),
        ("2026-11-23T14:00-05:00", "2026-11-23T19:00:00+00:00"),
        # The hour that comes twice: the first of the two, which never brings back data that is too young.
        ("2026-10-25T02:30", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_time_without_an_offset_is_one_of_the_policys_zone(text: str, instant: str) -> None:
    assert parse_moment(text, "Europe/Berlin").isoformat() == instant


def test_time_that_is_none_is_a_wrong_command_line() -> None:
    with pytest.raises(Exception, match="is no time; write it like") as caught:
        parse_moment("yesterday", "Europe/Berlin")
    assert getattr(caught.value, "exit_code", None) == 2


# The document


def commands(command: Any, path: str = "lifeboat") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its whole name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    for name, child in (below or {}).items():
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(get_command(app)))
SECTIONS = dict(re.findall(r"^## `(lifeboat .+?)`\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


def test_document_has_a_section_for_each_command_and_no_other() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_document_shows_every_option_and_argument_of_the_command(name: str) -> None:
    command, section = COMMANDS[name], SECTIONS[name]
    usage = re.search(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert usage is not None and usage[1].startswith(name + " ")
    assert set(re.findall(r"--[a-z-]+", usage[1])) == options_of(command) - {"--help"}
    assert set(re.findall(r"--[a-z][a-z-]+", section)) <= options_of(command)
    metavars = {p.metavar.strip("[]") for p in command.params if p.param_type_name == "argument"}
    assert {word for word in metavars if word not in usage[1]} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json_and_says_what_each_option_does(name: str) -> None:
    assert "--json" in options_of(COMMANDS[name])
    assert COMMANDS[name].help
    assert [parameter.name for parameter in COMMANDS[name].params if not parameter.help] == []


def test_document_lists_every_exit_code() -> None:
    def below(error: type[LifeboatError]) -> Iterator[type[LifeboatError]]:
        yield error
        for child in error.__subclasses__():
            yield from below(child)

    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)}
    assert listed == {0, 2, DEFECT} | {error.exit_code for error in below(LifeboatError)}
