"""What all tasks have in common: nothing is cached or persisted, and only what may help is repeated.

Prefect's own time limits do not end submitted work, so tasks have none: limits are enforced where a child
process or a store is waited for (reference prefect.md §2.5).
"""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from lifeboat.errors import LifeboatError

ONCE: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "retries": 0}
"""For work that must not be repeated by itself."""


def only_if_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the failure is one that doing the same again may mend: a lost connection, nothing else."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, LifeboatError) and error.retryable


REPEATED: dict[str, Any] = {
    **ONCE,
    "retries": 3,
    "retry_delay_seconds": [2, 15, 60],
    "retry_condition_fn": only_if_retryable,
}
"""For work that is safe to repeat: it writes under a new name, or only reads."""
