"""RabbitMQ's definitions over its management API, out and back in (sources §6).

Users with the hashes of their passwords, virtual hosts, permissions, queues, exchanges, bindings, policies and
parameters. Messages are no part of an export: RabbitMQ lets nobody copy them while it runs. How many there were is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from lifeboat import clock
from lifeboat.adapters.http_answer import Answer
from lifeboat.adapters.http_export import Export, written
from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.tree import FrozenView
from lifeboat.errors import SourceDenied, SourceError
from lifeboat.model.index import IndexFinding

DEFINITIONS: Final = b"definitions.json"
DEPTHS: Final = b"queue-depths.json"
_DEFINITIONS_PATH: Final = "/api/definitions"


@dataclass(frozen=True)
class RabbitMQExport(Export):
    """A broker; the endpoint's URL is its management API's, without ``/api``."""

    def capture(self) -> FrozenView:
        """``definitions.json``, equal byte for byte while nothing is defined anew, and ``queue-depths.json``."""
        begun = clock.utc_now()
        with self.endpoint.session() as session, _explained():
            definitions = _definitions(session.get(_DEFINITIONS_PATH))
            depths = _depths(session.get("/api/queues", {"columns": "vhost,name,messages"}))
        files = {DEFINITIONS: written(definitions), DEPTHS: written(depths)}
        return self.view(files, begun, _findings(depths))


def export_definitions(endpoint: Endpoint) -> dict[str, Any]:
    """What a broker defines now. Raises as ``RabbitMQExport`` does."""
    with endpoint.session() as session, _explained():
        return _definitions(session.get(_DEFINITIONS_PATH))


def import_definitions(endpoint: Endpoint, definitions: bytes) -> None:
    """Define what an export holds; what is there already stays, also what the export lacks.

    Raises the ``SourceError`` family: a broker refuses, for instance, a queue that it has with other arguments.
    """
    with endpoint.session() as session, _explained():
        session.post(_DEFINITIONS_PATH, definitions)


def virtual_hosts(endpoint: Endpoint) -> list[str]:
    """Names of a broker's virtual hosts. Raises the ``SourceError`` family."""
    with endpoint.session() as session, _explained():
        answer = session.get("/api/vhosts", {"columns": "name"})
    found = answer.json()
    if not isinstance(found, list) or not all(isinstance(each, dict) and "name" in each for each in found):
        raise _strange(answer)
    return [str(each["name"]) for each in found]


def delete_virtual_host(endpoint: Endpoint, name: str) -> None:
    """Delete a virtual host with all that is in it; none of that name is as good. Raises the ``SourceError`` family."""
    with endpoint.session() as session, _explained():
        session.delete(f"/api/vhosts/{quote(name, safe='')}")


def _definitions(answer: Answer) -> dict[str, Any]:
    """The broker lists queues, users … in the order of its memory; here in one that does not change."""
    found = answer.json()
    if not isinstance(found, dict) or not isinstance(found.get("vhosts"), list):
        raise _strange(answer)
    return {
        key: sorted(value, key=written) if isinstance(value, list) else value for key, value in found.items()
    }


def _depths(answer: Answer) -> list[dict[str, Any]]:
    """Messages of each queue; None where the broker has not counted yet, or the queue is down."""
    found = answer.json()
    if not isinstance(found, list) or not all(isinstance(queue, dict) and "name" in queue for queue in found):
        raise _strange(answer)
    depths = [
        {"vhost": queue.get("vhost"), "queue": queue["name"], "messages": queue.get("messages")}
        for queue in found
    ]
    return sorted(depths, key=written)


def _strange(answer: Answer) -> SourceError:
    return SourceError(
        f"{answer.label}: the answer is JSON, but not what RabbitMQ's management API says here.",
        hint="Check that the url in the policy is that of the management API, without /api.",
    )


def _findings(depths: list[dict[str, Any]]) -> tuple[IndexFinding, ...]:
    filled = [queue["messages"] for queue in depths if queue["messages"]]
    uncounted = sum(queue["messages"] is None for queue in depths)
    if not filled and not uncounted:
        return ()
    others = f", those in {uncounted} further ones uncounted," if uncounted else ""
    message = (
        f"{sum(filled):,} messages in {len(filled)} queues{others} are not backed up: an export has none. "
        "How many each queue held is in queue-depths.json"
    )
    return (IndexFinding(code="messages-not-backed-up", clause="P1", message=message),)


@contextmanager
def _explained() -> Iterator[None]:
    """RabbitMQ answers 401 also to a good password of a user who may not do this."""
    try:
        yield
    except SourceDenied as error:
        raise SourceDenied(
            error.message,
            hint="Check user and password in the source's block. The user needs the tag `administrator`: with "
            "`monitoring`, `policymaker` or `management`, RabbitMQ refuses the definitions like this.",
        ) from None
