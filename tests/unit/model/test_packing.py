"""Which files travel: over long histories a backup always names every file's newest bytes, at the price of the changes."""

from __future__ import annotations

import random
from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeboat.model.listing import Listing, PackedLines
from lifeboat.model.names import name_bytes, name_text
from lifeboat.model.packing import LIVING_PERCENT, Pair, cut_parts, kept_parts, pair, travelling, weight
from lifeboat.model.tree import Entry, EntryKind, Member, walk_order

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)


@given(NAMES)
def test_every_name_has_one_printable_spelling(name: bytes) -> None:
    text = name_text(name)

    assert name_bytes(text) == name
    assert text.isprintable()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain", "plain"),
        ("größe".encode(), "größe"),
        (b"a\\b", "a\\\\b"),
        (b"\xff\n", "\\377\\012"),
        (b"\\101", "\\\\101"),
        ("\u202e".encode(), "\\342\\200\\256"),
    ],
)
def test_spelling_is_that_of_tar(name: bytes, text: str) -> None:
    assert name_text(name) == text
    assert name_bytes(text) == name


@given(
    st.lists(
        st.text(
            st.characters(
                exclude_characters="\n\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e", exclude_categories=["Cs"]
            ),
            max_size=300,
        ),
        max_size=40,
    )
)
def test_packed_lines_come_back_as_often_as_one_likes(lines: list[str]) -> None:
    packed = PackedLines.of(lines)

    assert list(packed) == lines == list(packed)
    assert packed.count == len(lines)


ENTRIES = st.builds(
    Entry,
    path=NAMES,
    kind=st.sampled_from(EntryKind),
    size=st.integers(0, 2**40),
    mtime_ns=st.integers(-(2**62), 2**62),
    mode=st.none() | st.integers(0, 0o7777),
    uid=st.none() | st.integers(0, 2**32),
    gid=st.none() | st.integers(0, 2**32),
    etag=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    target=st.just(b"") | NAMES,
)


@given(ENTRIES, st.integers(0, 3))
def test_entries_and_members_survive_their_lines(entry: Entry, part: int) -> None:
    member = Member(entry, part, 512 if part else 0, 7 if part else 0, "ab" if part else "")

    assert Member.from_line(member.to_line()) == member
    assert "\n" not in member.to_line()
    assert [Entry.from_line(line) for line in Listing([entry, entry]).lines] == [entry, entry]


def test_walk_order_puts_a_directory_right_before_what_it_holds() -> None:
    paths = [b"a", b"a/b", b"a/b/c", b"a/c", b"a b", b"a!", b"b"]

    assert sorted(random.Random(1).sample(paths, len(paths)), key=walk_order) == [
        b"a",
        b"a/b",
        b"a/b/c",
        b"a/c",
        b"a b",
        b"a!",
        b"b",
    ]


def file(path: bytes, size: int = 100, mtime: int = 1, **more: object) -> Entry:
    return Entry(path, EntryKind.FILE, size, mtime, **more)  # type: ignore[arg-type]


def paired(today: list[Entry], yesterday: list[Member], *, settled_ns: int) -> list[Pair]:
    lines = [entry.to_line() for entry in today]
    return list(pair(lines, [member.to_line() for member in yesterday], settled_ns=settled_ns))


ALIKE = file(b"f", mode=0o644, uid=10, gid=100)


@pytest.mark.parametrize(
    ("today", "state", "carried"),
    [
        (ALIKE, "", True),
        (ALIKE, "changed", False),
        (ALIKE._replace(size=101), "", False),
        (ALIKE._replace(mtime_ns=2), "", False),
        (ALIKE._replace(mode=0o600), "", False),
        (ALIKE._replace(gid=10), "", False),
        (ALIKE._replace(gid=1000), "", False),
        (ALIKE._replace(gid=None), "", False),
        (ALIKE._replace(etag="x"), "", False),
        (ALIKE._replace(path=b"e"), "", False),
        (ALIKE._replace(path=b"f2"), "", False),
        (Entry(b"f", EntryKind.DIRECTORY), "", False),
    ],
)
def test_only_what_looks_exactly_alike_is_carried(today: Entry, state: str, carried: bool) -> None:
    yesterday = Member(ALIKE, 1, 512, 100, "ab", state)

    (found,) = paired([today], [yesterday], settled_ns=10)

    assert found.line == today.to_line()
    assert (found.told["path"], found.told["kind"]) == (today.path.decode(), today.kind)
    assert found.carried == (orjson.loads(yesterday.to_line()) if carried else None)


def test_file_that_lost_its_etag_travels() -> None:
    (found,) = paired([ALIKE], [Member(ALIKE._replace(etag="x"), 1, 512, 100, "ab")], settled_ns=10)

    assert found.carried is None


NEIGHBOURS = st.lists(
    st.lists(
        st.sampled_from([b"a", b"b", b"a b", b"\xff", b'"', b"\\", "ä".encode()]), min_size=1, max_size=3
    ),
    max_size=12,
    unique_by=tuple,
).map(lambda paths: sorted((b"/".join(path) for path in paths), key=walk_order))


@given(NEIGHBOURS, NEIGHBOURS)
def test_every_file_that_both_days_have_finds_its_line(today: list[bytes], yesterday: list[bytes]) -> None:
    """Names sort by their bytes, whatever their lines sort by."""
    members = [Member(file(path), number, 512, 100, "ab") for number, path in enumerate(yesterday, start=1)]

    found = paired([file(path) for path in today], members, settled_ns=10)

    expected = {path: number for number, path in enumerate(yesterday, start=1)}
    assert [each.carried and each.carried["part"] for each in found] == [expected.get(path) for path in today]


@pytest.mark.parametrize(("settled", "carried"), [(6, True), (5, False)])
def test_what_changed_just_before_it_was_read_travels_again(settled: int, carried: bool) -> None:
    """It may have been written twice within one tick of the clock that dates it."""
    entry = file(b"f", mtime=5)

    (found,) = paired([entry], [Member(entry, 1, 512, 100, "ab")], settled_ns=settled)

    assert (found.carried is not None) is carried


def test_part_is_kept_while_enough_of_it_lives() -> None:
    limit = LIVING_PERCENT

    assert kept_parts({1: limit, 2: limit - 1}, {1: 100, 2: 100, 3: 100}) == {1}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_over_a_long_history_every_file_is_where_the_index_says(seed: int) -> None:
    """A store of parts by hand: each backup must find every file's newest content, and waste stays bounded."""
    chance = random.Random(seed)
    tree: dict[bytes, int] = {}
    parts: dict[int, dict[bytes, int]] = {}
    members: list[Member] = []
    clock = 0
    for day in range(25):
        for _ in range(chance.randrange(12)):
            clock += 1
            name = b"%c/%d" % (chance.choice(b"abc"), chance.randrange(30))
            if chance.random() < 0.3:
                tree.pop(name, None)
            else:
                tree[name] = clock
        today = [file(name, mtime=tree[name]) for name in sorted(tree, key=walk_order)]
        fresh = day % 10 == 0
        yesterday = [] if fresh else members
        pairs = paired(today, yesterday, settled_ns=2**62)
        plain = {number: sum(weight(100) for _ in held) for number, held in parts.items()}
        living: Counter[int] = Counter()
        assert list(travelling(pairs, living)) == [each for each in pairs if each.carried is None]
        given_up = living.keys() - kept_parts(living, plain)
        new: dict[bytes, Member] = {}
        for pack in cut_parts(travelling(pairs, Counter(), given_up), size=8 * weight(100)):
            group = [Entry.from_line(line) for line in pack.lines]
            assert pack.weight == len(pack) * weight(100) <= 8 * weight(100)
            number = len(parts) + 1
            parts[number] = {entry.path: entry.mtime_ns for entry in group}
            new |= {entry.path: Member(entry, number, 512, 100, "ab") for entry in group}
        carried = {name_bytes(each.told["path"]): each.carried["part"] for each in pairs if each.carried}
        members = [
            new.get(entry.path) or Member(entry, carried[entry.path], 512, 100, "ab") for entry in today
        ]

        assert [member.entry for member in members] == today
        for member in members:
            assert parts[member.part][member.entry.path] == member.entry.mtime_ns
        named = {member.part for member in members}
        if fresh:
            assert named == set(range(len(parts) - len(named) + 1, len(parts) + 1)), (
                "a fresh backup names new parts"
            )
        held = sum(len(parts[number]) for number in named)
        assert held * LIVING_PERCENT <= len(today) * 100
