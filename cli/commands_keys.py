"""``lifeboat keygen`` and ``lifeboat blocks``: keys are made here, and blocks are written from a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson
from cli.output import Output, table
from lifeboat.errors import ConfigurationError

keygen = typer.Typer(
    no_args_is_help=True,
    help="Make a key: the private part into a new file of mode 0400, the public part on stdout.",
)
blocks = typer.Typer(no_args_is_help=True, help="Write Prefect blocks from a file.")

OutFile = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="Where the private part goes; the file must not exist.")
]


@keygen.command()
def identity(out: OutFile = Path("lifeboat-identity.txt"), as_json: AsJson = False) -> None:
    """An age identity, which opens backups, and its recipient, for which they are sealed.

    The identity belongs on a restore host or into a safe, never into a block. Losing all of an environment's
    identities is losing its backups.
    """
    _age_key(
        out,
        as_json,
        "Keep the file where backups are restored, or in a safe; put only the recipient into a block.",
    )


@keygen.command()
def index(out: OutFile = Path("lifeboat-index.txt"), as_json: AsJson = False) -> None:
    """A worker's own age identity, which opens indexes and nothing more: for the index-identity block."""
    _age_key(out, as_json, "For the index-identity block: identity: {file: …}. It opens no part of a backup.")


@keygen.command()
def signing(out: OutFile = Path("lifeboat-signing.pem"), as_json: AsJson = False) -> None:
    """An Ed25519 key that signs manifests: for the signing-key block, and its public half for signing-public-keys."""
    from lifeboat.stages.keygen import new_signing_key

    pair = new_signing_key()
    _write(out, pair.private_pem)
    _tell(
        out,
        as_json,
        pair.public_pem,
        "For the signing-key block: private_key: {file: …}. What is printed goes into the public_keys of the "
        "signing-public-keys block, beside the earlier ones.",
    )


@blocks.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The blocks, as docs/how-to/blocks.md shows.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create or update the blocks of a file; doing it again changes nothing."""
    from cli.prefect_api import prefect_errors, require_api

    text = _read(file)
    require_api()
    from blocks.apply import apply_blocks

    with prefect_errors():
        applied = apply_blocks(text, where=str(file), environ=os.environ, dry_run=dry_run)
    would = "would be " if dry_run else ""
    rows = [(block.slug, block.name, _would(block.action, would)) for block in applied]
    Output(as_json).result({"dry_run": dry_run, "blocks": applied}, table(["type", "name", "outcome"], rows))


def _would(action: str, would: str) -> str:
    return action if action == "unchanged" else f"{would}{action}"


def _age_key(out: Path, as_json: bool, advice: str) -> None:
    from lifeboat.stages.keygen import new_identity

    pair = new_identity()
    _write(out, f"# public key: {pair.recipient}\n{pair.identity}\n")
    _tell(out, as_json, pair.recipient, advice)


def _write(path: Path, text: str) -> None:
    from lifeboat.stages.keygen import write_private

    with _file_errors(f"{path} cannot be written"):
        write_private(path, text)


def _read(path: Path) -> str:
    with _file_errors(f"{path} cannot be read"):
        return path.read_text("utf-8")


@contextlib.contextmanager
def _file_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{what}: {error.strerror}.", hint="Check the path and its permissions."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{what}: it is not UTF-8 text.") from None


def _tell(path: Path, as_json: bool, public: str, advice: str) -> None:
    output = Output(as_json)
    output.result({"public": public.strip(), "private_file": path}, public.strip())
    output.message(f"The private part is in {path} (mode 0400), and nowhere else. {advice}")
