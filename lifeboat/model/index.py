"""The index: what is inside a backup, by name. Sealed like a part; the manifest is all that lies open.

Format and changes: ``docs/format.md``. Offsets, lengths and sizes are bytes; hashes are SHA-256.
"""

from __future__ import annotations

import datetime as dt

from lifeboat.model.manifest import FORMAT, Sha256, Slug, Value


class IndexPart(Value):
    """A part and what it holds. ``plain_sha256`` is of the stream of an opaque part, None for tables."""

    number: int
    name: str
    kind: str
    size: int
    sha256: Sha256
    plain_bytes: int
    plain_sha256: Sha256 | None = None


class Table(Value):
    """One ordinary table: its COPY text stream inside ``part``."""

    schema_name: str
    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: Sha256
    part: int
    offset: int
    length: int

    @property
    def label(self) -> str:
        return f"{self.schema_name}.{self.name}"


class Grant(Value):
    """A privilege on a database; ``grantee`` is empty for PUBLIC."""

    grantee: str
    privilege: str
    grantable: bool


class DatabaseSetting(Value):
    """``ALTER DATABASE … SET``, or ``ALTER ROLE … IN DATABASE … SET`` when a role is named."""

    role: str | None
    name: str
    value: str


class DatabaseProperties(Value):
    """What ``CREATE DATABASE`` and the statements after it need, and what no dump of a database holds."""

    owner: str
    encoding: str
    locale_provider: str
    collate: str
    ctype: str
    locale: str | None
    collation_version: str | None
    connection_limit: int
    comment: str | None
    grants: tuple[Grant, ...] | None
    """None: the default privileges, never changed."""
    settings: tuple[DatabaseSetting, ...]
    extensions: dict[str, str]
    size: int


class Database(Value):
    """One database at its own data timestamp (the beginning of the transaction that froze it)."""

    name: str
    data_timestamp: dt.datetime
    wal_position: str | None
    properties: DatabaseProperties
    schema_part: int
    rest_part: int
    tables: tuple[Table, ...]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


class IndexFinding(Value):
    code: Slug
    clause: str
    message: str


class Index(Value):
    """The table of contents of one backup of a PostgreSQL server."""

    format: int = FORMAT
    backup_id: str
    environment: Slug
    service: Slug
    source: Slug
    data_timestamp: dt.datetime
    server_version: str
    server_version_number: int
    bootstrap_role: str
    globals_part: int
    databases: tuple[Database, ...]
    parts: tuple[IndexPart, ...]
    findings: tuple[IndexFinding, ...] = ()

    @property
    def server_major(self) -> int:
        return self.server_version_number // 10_000

    def database(self, name: str) -> Database | None:
        return next((database for database in self.databases if database.name == name), None)

    def part(self, number: int) -> IndexPart:
        return next(part for part in self.parts if part.number == number)
