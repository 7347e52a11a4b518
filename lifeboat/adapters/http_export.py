"""What a side service gives away over HTTP, captured in memory as a tree of a few files (sources §6)."""

from __future__ import annotations

import datetime as dt
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from lifeboat import clock
from lifeboat.adapters.http_answer import refuse_too_much
from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.tree import FrozenView
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.errors import SourceError
from lifeboat.model.index import IndexFinding


@dataclass(frozen=True)
class Export(ABC):
    """An origin whose tree is what a service answers."""

    endpoint: Endpoint

    @property
    def label(self) -> str:
        return self.endpoint.url

    @abstractmethod
    def capture(self) -> FrozenView:
        """Ask for it all, now. Raises the ``SourceError`` family, and ``ConfigurationError`` for the CA file."""

    @contextmanager
    def frozen(self) -> Iterator[FrozenView]:
        yield self.capture()

    def view(
        self, files: Mapping[bytes, bytes], begun: dt.datetime, findings: tuple[IndexFinding, ...] = ()
    ) -> FrozenView:
        """What was captured since ``begun`` (aware, by the worker's clock: any proxy writes a Date of its own)."""
        refuse_too_much(self.label, sum(map(len, files.values())), self.endpoint.size_limit)
        return FrozenView(CapturedTreeTarget(files, begun, label=self.label), begun, findings)


def written(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """One text per value, a member per line."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True)
class PlainExport(Export):
    """One GET, stored as it comes, under the last name in the URL."""

    def capture(self) -> FrozenView:
        begun = clock.utc_now()
        with self.endpoint.session() as session:
            answer = session.get()
        if answer.content_type == "text/html":
            raise SourceError(
                f"{self.label}: the answer is a page for people (text/html), not an export.",
                hint="A page to sign in, perhaps: check the credential in the source's block, and the url.",
            )
        if answer.is_json:
            answer.json()
        return self.view({self._name(): answer.body}, begun)

    def _name(self) -> bytes:
        last = unquote_to_bytes(urlsplit(self.label).path.rstrip("/").rpartition("/")[2])
        return last if last not in (b"", b".", b"..") and not {0, ord("/")} & set(last) else b"export"
