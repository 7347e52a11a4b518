"""Shares of an account against the policy's."""

from __future__ import annotations

from lifeboat.model.share_comparison import compare_shares


def test_account_as_the_policy_says_gives_nothing() -> None:
    comparison = compare_shares(["images", "documents", "scratch"], ["documents", "images"], ["scratch"])
    assert (comparison.missing, comparison.findings) == ((), ())


def test_share_that_nobody_listed_is_a_finding() -> None:
    comparison = compare_shares(["b", "documents", "a"], ["documents"], [])
    assert [(found.code, found.clause, found.message[:14]) for found in comparison.findings] == [
        ("share-not-in-policy", "P1", "file share 'a'"),
        ("share-not-in-policy", "P1", "file share 'b'"),
    ]


def test_listed_share_that_is_gone_is_missing_and_a_skipped_one_is_not() -> None:
    assert compare_shares(["a"], ["c", "a", "b"], ["d"]).missing == ("b", "c")
