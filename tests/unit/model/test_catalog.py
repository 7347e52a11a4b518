"""The catalog's verdicts, attacked: what a crash leaves is explained, what anybody else does is a doubt."""

from __future__ import annotations

import datetime as dt
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import EPOCH, SIGNER, STRANGER, Chain, manifest, prune_record, signed

from lifeboat.model.catalog import Catalog, build_catalog, merge_ranges
from lifeboat.model.manifest import ChainLink, manifest_name
from lifeboat.model.signed import TrustedKeys


def places(catalog: Catalog) -> list[int]:
    return [entry.manifest.sequence for entry in catalog.entries]


def name_of(place: int) -> str:
    return manifest_name(Chain.name, place)


@pytest.fixture
def chain() -> Chain:
    chain = Chain()
    chain.commits(5)
    return chain


def test_catalog_of_an_empty_folder_starts_at_place_one_without_doubts() -> None:
    catalog = Chain().catalog()

    assert (catalog.entries, catalog.doubts, catalog.head, catalog.next_sequence) == ((), (), None, 1)
    assert catalog.newest is None and catalog.newest_good is None and catalog.at(EPOCH) is None


def test_catalog_of_a_whole_chain_is_in_order_and_without_doubts(chain: Chain) -> None:
    backwards = dict(sorted(chain.files.items(), reverse=True))

    catalog = chain.catalog(files=backwards, anchored=True)

    assert places(catalog) == [1, 2, 3, 4, 5]
    assert (catalog.doubts, catalog.torn, catalog.missing, catalog.next_sequence) == ((), (), (), 6)
    assert catalog.head == chain.anchor


def test_catalog_ignores_files_of_other_chains_and_other_kinds(chain: Chain) -> None:
    other = manifest(9, source="files")
    chain.files |= {
        other.file_name: signed(other),
        "readme.txt": b"x",
        "main-databases.9.manifest.json": b"x",
    }

    catalog = chain.catalog(anchored=True)

    assert places(catalog) == [1, 2, 3, 4, 5]
    assert catalog.doubts == ()


def test_torn_place_that_its_valid_successor_skipped_raises_no_doubt(chain: Chain) -> None:
    chain.tear()
    chain.commit()

    catalog = chain.catalog(anchored=True)

    assert catalog.torn == (6,)
    assert catalog.doubts == ()
    assert places(catalog) == [1, 2, 3, 4, 5, 7]


@pytest.mark.parametrize("kept", [0, 1, 300, 1200])
def test_torn_head_is_a_doubt_until_the_next_commit_explains_it(chain: Chain, kept: int) -> None:
    chain.tear(kept)
    assert list(chain.catalog(anchored=True).damaged) == [6]

    chain.commit()

    assert chain.catalog(anchored=True).doubts == ()


def test_bit_flip_in_a_manifest_makes_its_place_damaged(chain: Chain) -> None:
    raw = bytearray(chain.files[name_of(3)])
    raw[len(raw) // 2] ^= 1
    chain.files[name_of(3)] = bytes(raw)

    catalog = chain.catalog()

    assert list(catalog.damaged) == [3]
    assert "place 3 is damaged" in catalog.doubts[0]
    assert places(catalog) == [1, 2, 4, 5]


def test_damaged_newest_manifest_stays_damaged_after_the_next_commit(chain: Chain) -> None:
    chain.files[name_of(5)] = chain.files[name_of(5)][:-1]

    chain.commit()

    catalog = chain.catalog()
    assert list(catalog.damaged) == [5], "a committed backup must never pass for one that was never committed"
    assert catalog.torn == ()


def test_missing_manifest_is_named_by_its_place(chain: Chain) -> None:
    del chain.files[name_of(2)]

    catalog = chain.catalog()

    assert catalog.missing == (2,)
    assert "lacks 1 expected backups: places 2" in catalog.doubts[0]


def test_many_missing_manifests_are_counted_and_the_first_five_named() -> None:
    chain = Chain()
    chain.commits(9)
    for place in range(1, 9):
        del chain.files[name_of(place)]

    assert chain.catalog().doubts == ("the listing lacks 8 expected backups: places 1, 2, 3, 4, 5 …",)


def test_pruned_places_are_no_gap(chain: Chain) -> None:
    for place in (1, 2, 4):
        chain.prune(place)

    catalog = chain.catalog(anchored=True)

    assert chain.pruned == ((1, 2), (4, 4))
    assert (catalog.doubts, catalog.missing, places(catalog)) == ((), (), [3, 5])


def test_torn_file_that_outlives_its_pruned_successor_is_explained(chain: Chain) -> None:
    torn = chain.tear()
    chain.commits(2)
    kept = chain.files[torn]
    chain.prune(7)
    chain.files[torn] = kept  # prune crashed after the manifests, before the torn files

    catalog = chain.catalog(anchored=True)

    assert catalog.doubts == ()
    assert catalog.torn == ()


def test_pruned_tail_is_not_taken_for_a_rollback(chain: Chain) -> None:
    chain.prune(5)

    assert chain.catalog(anchored=True).doubts == ()
    chain.commit()
    assert chain.catalog(anchored=True).doubts == ()


def test_replaced_manifest_breaks_the_link_of_its_successor(chain: Chain) -> None:
    made = manifest(3, chain.catalog().entries[1].manifest.previous, quality="suspect", doubts=("other",))
    chain.files[name_of(3)] = signed(made)

    assert any(
        "place 3 is not the manifest that place 4 was linked to" in doubt for doubt in chain.catalog().doubts
    )


def test_forked_head_is_found_by_the_anchor_and_stays_found(chain: Chain) -> None:
    before = chain.catalog().entries[3]
    link = ChainLink(sequence=4, sha256=before.sha256)
    chain.files[name_of(5)] = signed(manifest(5, link, run_id="run-of-somebody-else"))

    doubts = chain.catalog(anchored=True).doubts
    assert doubts == ("place 5 is not the manifest that was committed there",)

    chain.commit()
    assert any(
        "place 5 is not the manifest that place 6 was linked to" in each for each in chain.catalog().doubts
    )


def test_rollback_is_found_by_the_anchor(chain: Chain) -> None:
    del chain.files[name_of(4)], chain.files[name_of(5)]

    assert chain.catalog().doubts == (), "without the anchor nobody can know"
    doubts = chain.catalog(anchored=True).doubts
    assert any("ends at place 3, but place 5 was committed" in doubt for doubt in doubts)
    assert any("places 4, 5" in doubt for doubt in doubts)


def test_rollback_stays_a_doubt_after_backups_went_on(chain: Chain) -> None:
    del chain.files[name_of(4)], chain.files[name_of(5)]

    chain.commits(3)

    assert min(chain.files) == name_of(1) and name_of(6) in chain.files
    assert chain.catalog().missing == (4, 5), (
        "the next manifest must not attest that places 4 and 5 never existed"
    )


def test_emptied_folder_is_found_by_the_anchor(chain: Chain) -> None:
    catalog = chain.catalog(files={}, anchored=True)

    assert catalog.missing == (1, 2, 3, 4, 5)
    assert any("ends at place 0, but place 5 was committed" in doubt for doubt in catalog.doubts)
    assert catalog.next_sequence == 6


def test_manifest_of_another_environment_is_refused(chain: Chain) -> None:
    chain.files[name_of(6)] = signed(manifest(6, chain.anchor, environment="trial"))

    catalog = chain.catalog(anchored=True)

    assert "belongs to environment 'trial', not 'production'" in catalog.damaged[6]
    assert places(catalog) == [1, 2, 3, 4, 5]


def test_manifest_in_another_place_is_refused(chain: Chain) -> None:
    chain.files[name_of(6)] = chain.files[name_of(2)]

    assert "was signed as place 2 of main-databases" in chain.catalog().damaged[6]


def test_manifest_of_another_chain_under_our_name_is_refused(chain: Chain) -> None:
    chain.files[name_of(6)] = signed(manifest(6, chain.anchor, source="files"))

    assert "was signed as place 6 of main-files" in chain.catalog().damaged[6]


def test_manifest_of_a_newer_format_asks_for_an_upgrade(chain: Chain) -> None:
    chain.files[name_of(6)] = signed(manifest(6, chain.anchor), format=2, novelty="x")

    assert chain.catalog().damaged[6].endswith("has format 2; this version reads format 1: upgrade Lifeboat")


def test_manifest_of_a_newer_format_never_passes_for_torn(chain: Chain) -> None:
    """Its parts would be reaped as orphans by the older version."""
    chain.files[name_of(6)] = signed(manifest(6, chain.anchor), format=2)

    chain.commit()

    catalog = chain.catalog()
    assert catalog.torn == ()
    assert list(catalog.damaged) == [6]


def test_manifest_signed_by_a_stranger_is_refused(chain: Chain) -> None:
    chain.files[name_of(6)] = signed(manifest(6, chain.anchor), signer=STRANGER)

    assert f"signed by key {STRANGER.key_id}, which is not trusted" in chain.catalog().damaged[6]


def test_manifest_of_a_rotated_key_stays_valid_while_it_is_trusted(chain: Chain) -> None:
    chain.files[name_of(6)] = signed(manifest(6, chain.anchor), signer=STRANGER)
    both = TrustedKeys.from_pems(STRANGER.public_pem, SIGNER.public_pem)

    assert build_catalog("production", Chain.name, chain.files, both).doubts == ()


def test_signed_statement_that_is_no_manifest_is_refused(chain: Chain) -> None:
    chain.files[name_of(6)] = signed(prune_record(1))

    assert "is signed but not a manifest" in chain.catalog().damaged[6]


def test_manifest_with_an_unknown_field_is_refused(chain: Chain) -> None:
    chain.files[name_of(6)] = signed(manifest(6, chain.anchor), novelty=1)

    assert "is signed but not a manifest: 1 fields are wrong" in chain.catalog().damaged[6]


def test_garbage_far_ahead_neither_moves_the_chain_nor_costs_time(chain: Chain) -> None:
    """Whoever holds the upload account can create any name: place 99,999,999 must not become our next one."""
    chain.files[name_of(99_999_999)] = b"garbage"

    started = time.monotonic()
    catalog = chain.catalog(anchored=True)

    assert time.monotonic() - started < 1
    assert list(catalog.damaged) == [99_999_999]
    assert catalog.next_sequence == 6


def test_garbage_in_the_next_places_is_passed_over(chain: Chain) -> None:
    chain.files |= {name_of(6): b"", name_of(7): b"x", name_of(9): b"x"}

    assert chain.catalog().next_sequence == 8


def test_two_runs_at_once_both_stay_committed(chain: Chain) -> None:
    """F24: the second saw the first one's file half written, and linked past it."""
    chain.files[name_of(6)] = b"half"
    slow = manifest(6, chain.anchor)
    chain.commit()
    chain.files[name_of(6)] = signed(slow)

    catalog = chain.catalog(anchored=True)

    assert places(catalog) == [1, 2, 3, 4, 5, 6, 7]
    assert catalog.doubts == ()

    del chain.files[name_of(6)]
    assert chain.catalog(anchored=True).missing == (6,), "a skipped place without a file was removed"


def test_find_at_and_newest_good_pass_over_suspect_backups() -> None:
    chain = Chain()
    first = chain.commit()
    chain.commit(quality="suspect", doubts=("0 tables, expected at least 1",))
    catalog = chain.catalog()
    later = EPOCH + dt.timedelta(days=10)

    assert catalog.newest is not None and catalog.newest.manifest.quality == "suspect"
    assert catalog.newest_good is not None and catalog.newest_good.manifest == first
    assert catalog.at(later) == catalog.newest_good
    assert catalog.at(EPOCH) == catalog.newest_good, "the very moment counts"
    assert catalog.at(EPOCH - dt.timedelta(microseconds=1)) is None
    assert catalog.find(first.backup_id) == catalog.entries[0]
    assert catalog.find("main-databases-20200101T000000Z-aaaaaa") is None


def test_newest_good_goes_by_data_timestamp_and_not_by_place() -> None:
    chain = Chain()
    newest = chain.commit(data_timestamp=EPOCH + dt.timedelta(days=9))
    chain.commit(data_timestamp=EPOCH)

    found = chain.catalog().newest_good
    assert found is not None and found.manifest.sequence == newest.sequence


def test_facts_count_parts_index_and_manifest_file(chain: Chain) -> None:
    entry = chain.catalog().entries[0]

    assert entry.facts().size == 9000 + 1000 + len(chain.files[name_of(1)])
    assert entry.facts().good is True


RANGES = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)).map(lambda pair: (pair[0], sum(pair))))


@given(RANGES)
def test_merged_ranges_hold_the_same_places_and_stay_apart(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(ranges)

    def members(of: list[tuple[int, int]]) -> set[int]:
        return {place for start, end in of for place in range(start, end + 1)}

    assert members(list(merged)) == members(ranges)
    assert all(end + 1 < start for (_, end), (start, _) in itertools.pairwise(merged))


STEPS = st.lists(st.tuples(st.sampled_from("cccttp"), st.integers(0, 2**16)), max_size=14)


def sail(steps: list[tuple[str, int]]) -> Chain:
    """A history of commits, torn manifests and prunes that ends with a commit, as each day does."""
    chain = Chain()
    for step, choice in steps:
        present = places(chain.catalog())
        if step == "c":
            chain.commit()
        elif step == "t":
            chain.tear(choice % 1500)
        elif present[:-1]:
            chain.prune(present[:-1][choice % len(present[:-1])])
    chain.commit()
    return chain


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_any_history_of_commits_crashes_and_prunes_leaves_no_doubt(steps: list[tuple[str, int]]) -> None:
    chain = sail(steps)
    catalog = chain.catalog(anchored=True)

    assert catalog.doubts == ()
    assert name_of(catalog.next_sequence) not in chain.files
    assert all(name_of(place) in chain.files for place in (*places(catalog), *catalog.torn))


@settings(max_examples=40, deadline=None)
@given(STEPS, st.data())
def test_removing_any_file_but_the_last_leaves_a_doubt_that_stays(
    steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    chain = sail(steps)
    *rest, _last = sorted(chain.files)
    if not rest:
        return
    del chain.files[data.draw(st.sampled_from(rest))]

    assert chain.catalog().doubts != ()
    chain.commits(2)
    assert chain.catalog().doubts != ()


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_removing_the_newest_files_is_found_with_the_anchor_and_stays_found(
    steps: list[tuple[str, int]], count: int
) -> None:
    chain = sail(steps)
    for name in sorted(chain.files)[-count:]:
        del chain.files[name]

    catalog = chain.catalog(anchored=True)
    assert catalog.doubts != ()
    assert chain.anchor is not None and catalog.next_sequence > chain.anchor.sequence
    chain.commits(2)
    assert chain.catalog(anchored=True).doubts != ()


@settings(max_examples=40, deadline=None)
@given(STEPS, st.data())
def test_any_changed_byte_of_a_committed_manifest_leaves_a_doubt(
    steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    chain = sail(steps)
    victim = name_of(data.draw(st.sampled_from(places(chain.catalog()))))
    raw = bytearray(chain.files[victim])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    chain.files[victim] = bytes(raw)

    assert chain.catalog(anchored=True).doubts != ()
