"""The Prefect API, as the commands need it: configured, answering, or a sentence that says why not.

Prefect is imported inside the functions: it takes two seconds, and most commands never need it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from cli.output import console
from lifeboat.errors import ConfigurationError, LifeboatError

if TYPE_CHECKING:
    from rich.console import Console


def api_address() -> str:
    """The configured API's address. Raises ``ConfigurationError`` when there is none.

    Without an address Prefect would quietly start a server of its own, with a database of its own: blocks would be
    missing and runs would be recorded where nobody looks.
    """
    from prefect.settings import get_current_settings

    address = get_current_settings().api.url
    if not address:
        raise ConfigurationError(
            "There is no Prefect API to ask: PREFECT_API_URL is not set.",
            hint="export PREFECT_API_URL=https://prefect.example/api, the address of your Prefect server.",
        )
    return address


@contextlib.contextmanager
def prefect_errors(*, under_way: bool = False) -> Iterator[None]:
    """Turns what Prefect's client raises when the API fails into ``ConfigurationError``.

    With ``under_way`` the API answered a moment ago and a run may have committed since: then it is no mistake of the
    configuration, and a ``LifeboatError`` sends to the store (F41).
    """
    from httpx import HTTPStatusError, RequestError
    from prefect.exceptions import MissingResult

    try:
        yield
    except HTTPStatusError as error:
        raise ConfigurationError(
            f"The Prefect API at {shown_address()} answered {error.response.status_code}.",
            hint="With 401 or 403, check PREFECT_API_AUTH_STRING or PREFECT_API_KEY; else look at the server's log.",
        ) from None
    except (RequestError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "Failed to reach API" not in str(error):
            raise
        if under_way:
            raise LifeboatError(
                f"The Prefect API at {shown_address()} went away during the run ({type(error).__name__}).",
                hint="What the run committed stays committed: once the API is back, `lifeboat status` and "
                "`lifeboat list` read it from the store.",
            ) from None
        raise ConfigurationError(
            f"The Prefect API at {shown_address()} does not answer ({type(error).__name__}).",
            hint="Start the server, or correct PREFECT_API_URL.",
        ) from None
    except MissingResult:
        raise LifeboatError(
            "Prefect lost what the run returned.",
            hint="The store knows better: `lifeboat status` and `lifeboat list` read it.",
        ) from None


def shown_address() -> str:
    """The API's address without a user or a password in it."""
    parts = urlsplit(api_address())
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def require_api() -> str:
    """The server's version. Raises ``ConfigurationError`` when no API is configured, or none answers."""
    from prefect.client.orchestration import get_client

    api_address()
    # At every exit it warns of events that are still on their way; they arrive, and nobody could do anything.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    with prefect_errors(), get_client(sync_client=True) as client:
        return client.api_version()


def log_console() -> Console:
    """The console of Prefect's log: what is drawn on another one, its lines would tear."""
    from prefect.logging.handlers import PrefectConsoleHandler

    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            return handler.console
    return console(stderr=True)


def next_scheduled_run(deployment: str, now: dt.datetime) -> dt.datetime | None:
    """When the deployment ``flow/name`` runs next, after ``now``; None when nothing is scheduled.

    Raises ``ConfigurationError`` when there is no such deployment, or when it is paused.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters, objects, sorting
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound:
            raise ConfigurationError(
                f"The deployment {deployment!r} does not exist.", hint="Deploy it: prefect deploy --all"
            ) from None
        if found.paused:
            raise ConfigurationError(
                f"The deployment {deployment!r} is paused.",
                hint=f"prefect deployment schedule resume {deployment}",
            )
        scheduled = filters.FlowRunFilterState(
            type=filters.FlowRunFilterStateType(any_=[objects.StateType.SCHEDULED])
        )
        runs = client.read_flow_runs(
            deployment_filter=filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=[found.id])),
            flow_run_filter=filters.FlowRunFilter(
                state=scheduled,
                next_scheduled_start_time=filters.FlowRunFilterNextScheduledStartTime(after_=now),
            ),
            sort=sorting.FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
            limit=1,
        )
    return runs[0].next_scheduled_start_time if runs else None
