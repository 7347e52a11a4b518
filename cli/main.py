"""The command ``lifeboat``: the terminal's face over flows and stages, and the edge where errors become exit codes.

Commands import what they need when they run: Prefect alone takes two seconds, and ``--help`` needs none of it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer
from typer.main import get_command

from cli import commands_keys, commands_policy
from cli.commands_alarm_test import alarm_test
from cli.commands_backup import backup
from cli.commands_diff import diff
from cli.commands_doctor import doctor
from cli.commands_drill import drill
from cli.commands_files import files
from cli.commands_key_drill import key_drill
from cli.commands_list import list_backups, show
from cli.commands_restore import restore
from cli.commands_retention import retention
from cli.commands_runbook import runbook
from cli.commands_status import status
from cli.commands_tables import tables
from cli.output import Output
from lifeboat.errors import Cancelled, LifeboatError

DEFECT = 70
"""What a defect of ours returns: EX_SOFTWARE of sysexits.h."""

app = typer.Typer(
    name="lifeboat",
    help="A backup counts only if it floats: take backups by a written policy, prove them, bring them back.",
    no_args_is_help=True,
    add_completion=False,
    # Both would print local variables, and those hold secrets.
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(commands_policy.app, name="policy")
app.add_typer(commands_keys.keygen, name="keygen")
app.add_typer(commands_keys.blocks, name="blocks")
app.command()(backup)
app.command("list")(list_backups)
app.command()(show)
app.command()(retention)
app.command()(restore)
app.command()(drill)
app.command("key-drill")(key_drill)
app.command("alarm-test")(alarm_test)
app.command()(files)
app.command()(tables)
app.command()(diff)
app.command()(runbook)
app.command()(status)
app.command()(doctor)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error has been told."""
    output = Output("--json" in arguments)
    try:
        code = get_command(app).main(list(arguments), prog_name="lifeboat", standalone_mode=False)
        if code == Cancelled.exit_code:
            raise Cancelled("Ended from the keyboard.")  # Typer has made an exit of the KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except LifeboatError as error:
        output.error(error)
        return error.exit_code
    except typer.TyperException as error:
        return _usage(output, error)
    except Exception:  # noqa: BLE001 - the edge of the program: whatever is left is a defect of ours
        return _defect(output)


def _usage(output: Output, error: typer.TyperException) -> int:
    if output.as_json:
        hint = "`lifeboat COMMAND --help` shows what it takes."
        output.result({"error": {"kind": "UsageError", "message": error.format_message(), "hint": hint}})
    else:
        output.message(f"error: {error.format_message()}")
        output.message("    → `lifeboat COMMAND --help` shows what it takes.")
    return error.exit_code


def _defect(output: Output) -> int:
    """The traceback goes to stderr only, and without the variables."""
    sys.stderr.write(traceback.format_exc())
    hint = "Report it with the traceback; nothing was committed that a manifest does not name."
    if output.as_json:
        output.result({"error": {"kind": "Defect", "message": "This is a defect of Lifeboat.", "hint": hint}})
    else:
        output.message(f"error: This is a defect of Lifeboat.\n    → {hint}")
    return DEFECT


def main() -> None:
    """The entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
