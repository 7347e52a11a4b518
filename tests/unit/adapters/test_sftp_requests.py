"""Requests on their way: how large the next one is, and how many there may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lifeboat.adapters import sftp_requests
from lifeboat.adapters.sftp_requests import WINDOW, Requests, Stalled, request_size

SMALL, LARGE = 63 * 2**10, 255 * 2**10


def with_requests(
    work: Callable[[Requests[int]], Coroutine[Any, Any, None]], *, largest: int = LARGE
) -> None:
    async def run() -> None:
        requests: Requests[int] = Requests(largest, stall_timeout=0.2)
        try:
            await work(requests)
        finally:
            await requests.abandon()

    asyncio.run(run())


async def answer(number: int, *, after: float = 0) -> int:
    await asyncio.sleep(after)
    return number


def test_requests_grow_on_a_prompt_answer_and_shrink_on_a_late_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """F17: on a slow line answers must come more often than keepalives go out."""
    monkeypatch.setattr(sftp_requests, "_PROMPT", 0.05)

    async def work(requests: Requests[int]) -> None:
        assert requests.size == SMALL, "nothing is known of the line yet"
        requests.ask(answer(1), SMALL)
        assert await requests.oldest() == 1
        assert requests.size == LARGE
        requests.ask(answer(2, after=0.1), LARGE)
        assert await requests.oldest() == 2
        assert requests.size == SMALL

    with_requests(work)


@pytest.mark.parametrize(
    ("largest", "prompt", "size"),
    [
        (2**22, True, LARGE),
        (2**22, False, SMALL),
        (100_000, True, 100_000),
        (100_000, False, SMALL),
        (16_384, True, 32_768),  # asyncssh's guess where none is told; every server takes twice that
    ],
)
def test_no_request_is_larger_than_the_server_takes(largest: int, *, prompt: bool, size: int) -> None:
    assert request_size(largest, prompt=prompt) == size


def test_the_window_counts_bytes() -> None:
    async def work(requests: Requests[int]) -> None:
        for number in range(4):
            assert not requests.full
            requests.ask(answer(number), WINDOW // 4)
        assert requests.full
        assert (requests.oldest_size, await requests.oldest()) == (WINDOW // 4, 0)
        assert not requests.full
        await requests.abandon()
        assert (len(requests), requests.full) == (0, False)

    with_requests(work)


def test_an_answer_that_does_not_come_is_a_stalled_line() -> None:
    async def work(requests: Requests[int]) -> None:
        requests.ask(answer(1, after=60), SMALL)
        with pytest.raises(Stalled, match=r"0\.2 s"):
            await requests.oldest()

    with_requests(work)
