"""A file of blocks, read: which blocks it declares, with their secrets filled in from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from blocks import (
    AzureBlobs,
    AzureFileShares,
    HttpExport,
    IndexIdentity,
    LocalStore,
    NasStore,
    PostgresServer,
    Recipients,
    S3Bucket,
    SftpAccount,
    SigningKey,
    SigningPublicKeys,
)
from blocks.checked import CheckedBlock
from lifeboat.errors import PolicyError, Problem
from lifeboat.model.manifest import Slug, Value
from lifeboat.model.policy_problems import described_errors
from lifeboat.model.policy_text import Path as KeyPath
from lifeboat.model.policy_text import PolicyText, UnreadableText, parse_policy_text, path_text
from lifeboat.model.policy_values import did_you_mean

KINDS: Final[dict[str, type[CheckedBlock]]] = {
    kind.get_block_type_slug(): kind
    for kind in (
        PostgresServer,
        AzureFileShares,
        SftpAccount,
        S3Bucket,
        AzureBlobs,
        HttpExport,
        NasStore,
        LocalStore,
        Recipients,
        SigningKey,
        SigningPublicKeys,
        IndexIdentity,
    )
}
"""Our block types, by slug."""


class DeclaredBlock(Value):
    """One block in the file."""

    type: str = Field(description="Slug of the block type.")
    name: Slug = Field(description="Name of the document.")
    fields: dict[str, Any] = Field(description="The block's fields.")


class BlocksFile(Value):
    """The whole file."""

    blocks: tuple[DeclaredBlock, ...] = Field(description="The blocks, each with type, name and fields.")


def read_blocks(text: str, *, where: str, environ: Mapping[str, str]) -> list[tuple[str, CheckedBlock]]:
    """Name and block of each one that ``text`` (YAML) declares, in its order.

    A value ``{environment: NAME}`` is taken from ``environ``, ``{file: /path}`` from that file without the line
    feed at its end. Raises ``PolicyError`` with every mistake at once; ``where`` names the file in it.
    """
    try:
        parsed = parse_policy_text(text)
        file = BlocksFile.model_validate(parsed.values)
    except UnreadableText as error:
        raise PolicyError([error.problem], where=where) from None
    except ValidationError as error:
        shape = described_errors(error.errors(include_url=False), BlocksFile.model_json_schema())
        raise PolicyError(_in_file_order([*parsed.repeated, *shape], parsed), where=where) from None
    mistakes = [*parsed.repeated, *_repeated_names(file)]
    readings = [_Reading(declared, environ) for declared in file.blocks]
    blocks = [(reading.declared.name, reading.block()) for reading in readings]
    for position, reading in enumerate(readings):
        mistakes += [(("blocks", position, *path), message) for path, message in reading.mistakes]
    if mistakes:
        raise PolicyError(_in_file_order(mistakes, parsed), where=where)
    return [(name, block) for name, block in blocks if block is not None]


def _in_file_order(mistakes: list[tuple[KeyPath, str]], parsed: PolicyText) -> list[Problem]:
    ordered = sorted((parsed.line(path), path_text(path), message) for path, message in mistakes)
    return [Problem(path, f"{message} (line {line})") for line, path, message in ordered]


def _repeated_names(file: BlocksFile) -> Iterator[tuple[KeyPath, str]]:
    seen: set[tuple[str, str]] = set()
    for position, declared in enumerate(file.blocks):
        if (declared.type, declared.name) in seen:
            yield ("blocks", position, "name"), f"{declared.type} {declared.name!r} stands here twice"
        seen.add((declared.type, declared.name))


class _Reading:
    """One declared block being read; what is wrong with it goes into ``mistakes``, none stops the others."""

    def __init__(self, declared: DeclaredBlock, environ: Mapping[str, str]) -> None:
        self.declared = declared
        self.mistakes: list[tuple[KeyPath, str]] = []
        self._environ = environ

    def block(self) -> CheckedBlock | None:
        """The block, or None after a mistake."""
        kind = KINDS.get(self.declared.type)
        if kind is None:
            suggestion = did_you_mean(self.declared.type, KINDS) or f"; there are {', '.join(KINDS)}"
            self._mistake(f"{self.declared.type!r} is no block type of ours{suggestion}", "type")
            return None
        values = {key: self._field(kind, key, value) for key, value in self.declared.fields.items()}
        if self.mistakes:
            return None
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            for path, message in described_errors(error.errors(include_url=False), kind.model_json_schema()):
                self._mistake(message, "fields", *path)
            return None

    def _field(self, kind: type[CheckedBlock], key: str, value: object) -> object:
        known = kind.model_fields
        if key not in known:
            # The value is not shown: a key nobody knows may well be a misspelled `password`.
            suggestion = did_you_mean(key, known) or f"; known here: {', '.join(known)}"
            self._mistake(f"unknown key{suggestion}", "fields", key)
        elif key in kind.model_json_schema()["secret_fields"] and not isinstance(value, dict):
            self._mistake(
                "a secret stands here, in a file that is under version control; write {environment: NAME} or "
                "{file: /path}, and replace the secret if it is a real one",
                "fields",
                key,
            )
        return self._resolved(value, "fields", key)

    def _resolved(self, value: object, *path: str | int) -> object:
        if isinstance(value, list):
            return [self._resolved(item, *path, position) for position, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        match list(value.items()):
            case [("environment", str(name))]:
                return self._from_environment(name, *path)
            case [("file", str(file))]:
                return self._from_file(Path(file), *path)
        self._mistake("is neither a value, nor {environment: NAME}, nor {file: /path}", *path)
        return None

    def _from_environment(self, name: str, *path: str | int) -> str | None:
        value = self._environ.get(name)
        if not value:
            problem = "is not set" if value is None else "is empty"
            self._mistake(f"the environment variable {name} {problem}", *path)
        return value

    def _from_file(self, file: Path, *path: str | int) -> str | None:
        if not file.is_absolute():
            self._mistake(f"{file} is relative to nothing in particular; begin with /", *path)
            return None
        try:
            value = file.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            self._mistake(f"{file} cannot be read: {error.strerror}", *path)
            return None
        except UnicodeDecodeError:
            self._mistake(f"{file} is not UTF-8 text", *path)
            return None
        if not value:
            self._mistake(f"{file} is empty", *path)
        return value

    def _mistake(self, message: str, *path: str | int) -> None:
        self.mistakes.append((path, message))
