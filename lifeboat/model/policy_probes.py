"""The policy's own checks on restored data (clause P7): what a user of the service would look at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from lifeboat.model.manifest import Slug, Value
from lifeboat.model.policy_text import Path
from lifeboat.model.policy_values import Duration, Text, did_you_mean

Number = StrictInt | StrictFloat


class Heartbeat(Value):
    """The row of ``lifeboat.heartbeat``, written before each backup; a drill tells the age of restored data by it.

    The table's name is fixed: no slip in a policy makes Lifeboat write into somebody else's.
    """

    database: Text = Field(
        description="The database in which `lifeboat.heartbeat` lies; one that is backed up."
    )


class ProbeRule(Value):
    """A query, and what it must say: a value, a range, a time, or paths of files that must be there."""

    database: Text = Field(description="The database it is asked in.")
    sql: Text = Field(
        description="A query that only reads. One row and one column, or with `files_of` a path in each row."
    )
    equals: StrictStr | StrictBool | Number | None = Field(None, description="The value it gives.")
    at_least: Number | None = Field(None, description="The least that it gives.")
    at_most: Number | None = Field(None, description="The most that it gives.")
    newest_within: Duration | None = Field(
        None, description="It gives a time, at most so long before the moment of the backup's data."
    )
    files_of: Slug | None = Field(
        None, description="Source of files, of the same service, in which every path that it gives is a file."
    )

    @model_validator(mode="after")
    def _expects_one_thing(self) -> Self:
        ranged = self.at_least is not None or self.at_most is not None
        others = (self.equals, self.newest_within, self.files_of)
        if sum(each is not None for each in others) + ranged != 1:
            raise ValueError(
                "a probe expects one thing: 'equals', 'at_least' and 'at_most', 'newest_within', or 'files_of'"
            )
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"at_least {self.at_least} is more than at_most {self.at_most}: nothing can be that"
            )
        return self


def probe_mistakes(path: Path, source: object, siblings: dict[str, object]) -> Iterator[tuple[Path, str]]:
    """Databases and sources that probes name and that are not there. ``source`` and its ``siblings``, the sources of
    the same service, are as the file has them: parts of them may have mistakes of their own."""
    probes = source.get("probes") if isinstance(source, dict) else None
    databases = source.get("databases") if isinstance(source, dict) else None
    heartbeat = source.get("heartbeat") if isinstance(source, dict) else None
    if isinstance(heartbeat, dict) and isinstance(databases, list):
        wanted = heartbeat.get("database")
        if isinstance(wanted, str) and wanted not in databases:
            yield (
                (*path, "heartbeat", "database"),
                f"{wanted!r} is no database of this source{did_you_mean(wanted, [str(each) for each in databases])}",
            )
    if not isinstance(probes, dict) or not isinstance(databases, list):
        return
    trees = [
        name for name, each in siblings.items() if isinstance(each, dict) and each.get("kind") != "postgres"
    ]
    for name, probe in probes.items():
        if not isinstance(probe, dict):
            continue
        for key, known, what in (
            ("database", databases, "database of this source"),
            ("files_of", trees, "source of files"),
        ):
            wanted = probe.get(key)
            if isinstance(wanted, str) and wanted not in known:
                yield (
                    (*path, "probes", str(name), key),
                    f"{wanted!r} is no {what}{did_you_mean(wanted, [str(each) for each in known])}",
                )
