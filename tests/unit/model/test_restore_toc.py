"""Which indexes and constraints can be made before all rows are in."""

from __future__ import annotations

from lifeboat.model.index import Table
from lifeboat.model.restore_toc import TocEntry, in_loading_order, parse_toc, plan_post_data

# As pg_restore 18 lists it: a partitioned table, one with a space in its name, a materialized view.
TABLES = """\
;
; Selected TOC Entries:
;
2608; 1262 16384 DATABASE - a postgres
223; 1255 16434 FUNCTION public t() postgres
221; 1259 16401 TABLE public b c postgres
222; 1259 16421 MATERIALIZED VIEW public mv postgres
;\tdepends on: 221 221
219; 1259 16385 TABLE public p postgres
220; 1259 16392 TABLE public p1 postgres
;\tdepends on: 219
2429; 0 0 TABLE ATTACH public p1 postgres
;\tdepends on: 220 219
"""
POST_DATA = """\
2439; 2606 16409 CONSTRAINT public b c b c_pkey postgres
;\tdepends on: 221
2432; 2606 16391 CONSTRAINT public p p_pkey postgres
;\tdepends on: 219 219
2435; 2606 16396 CONSTRAINT public p1 p1_pkey postgres
;\tdepends on: 220 2432 220 220
2609; 0 0 COMMENT public INDEX "b c_n_key" postgres
;\tdepends on: 2439
2441; 1259 16432 INDEX public mv_id_idx postgres
;\tdepends on: 222
2440; 1259 16420 INDEX public x y postgres
;\tdepends on: 221
2443; 0 0 INDEX ATTACH public p1_pkey postgres
;\tdepends on: 2435 2432 220 2432 220 219
2446; 2620 16435 TRIGGER public b c tr postgres
;\tdepends on: 221 223
2445; 2606 16412 FK CONSTRAINT public b c b c_pid_fkey postgres
;\tdepends on: 2443 219 2432 221 219 221
2450; 0 0 COMMENT public CONSTRAINT b c b c_pid_fkey ON "b c" postgres
;\tdepends on: 2445
2602; 0 16421 MATERIALIZED VIEW DATA public mv postgres
;\tdepends on: 222 2604
"""


def table(schema: str, name: str, part: int) -> Table:
    return Table(
        schema_name=schema, name=name, columns=(), rows=1, sha256="0" * 64, part=part, offset=0, length=1
    )


LOADED = [table("public", "b c", 7), table("public", "p1", 8)]


def lists() -> tuple[list[TocEntry], list[TocEntry]]:
    return parse_toc(TABLES + POST_DATA), parse_toc(POST_DATA)


def numbers(lines: tuple[str, ...]) -> list[int]:
    return [int(line.partition(";")[0]) for line in lines]


def test_entries_are_read_with_what_they_need() -> None:
    entries = parse_toc(TABLES + POST_DATA)
    by_number = {entry.number: entry for entry in entries}
    assert len(entries) == 18
    assert by_number[2435].needs == {220, 2432}
    assert by_number[223].needs == frozenset()
    assert by_number[2440].line == "2440; 1259 16420 INDEX public x y postgres"


def test_index_of_one_table_is_made_after_its_rows_and_of_none_at_once() -> None:
    planned = plan_post_data(*lists(), LOADED)
    assert numbers(planned.at_once) == [2432]
    assert {part: numbers(lines) for part, lines in planned.after_part.items()} == {
        7: [2439, 2440],
        8: [2435],
    }
    assert numbers(planned.last) == [2609, 2441, 2443, 2446, 2445, 2450, 2602]


FOREIGN_KEYS = """\
230; 1259 16500 TABLE public orders postgres
231; 1259 16501 TABLE public lines postgres
3000; 2606 16502 CONSTRAINT public orders orders_pkey postgres
;\tdepends on: 230
3001; 2606 16503 FK CONSTRAINT public lines lines_order_fkey postgres
;\tdepends on: 231 230 3000
3002; 2606 16504 FK CONSTRAINT public orders orders_parent_fkey postgres
;\tdepends on: 230 3000 230
3003; 2606 16505 FK CONSTRAINT public lines lines_p_fkey postgres
;\tdepends on: 231 219 2432
"""


def test_foreign_key_is_made_after_both_its_tables_and_one_of_a_partitioned_table_last() -> None:
    entries = parse_toc(TABLES + POST_DATA + FOREIGN_KEYS)
    post_data = [entry for entry in entries if entry.number >= 2430]
    loaded = [*LOADED, table("public", "orders", 4), table("public", "lines", 5)]

    planned = plan_post_data(entries, post_data, loaded)

    assert {parts: numbers(lines) for parts, lines in planned.after_parts.items()} == {
        frozenset({4, 5}): [3001]
    }
    assert numbers(planned.after_part[4]) == [3000, 3002]
    assert {2445, 3003} <= set(numbers(planned.last))
    in_order = numbers(planned.all_in_order)
    assert sorted(in_order) == sorted(entry.number for entry in post_data)
    assert in_order.index(3000) < in_order.index(3001)
    assert plan_post_data(entries, post_data, loaded, partial=True).after_parts == {}


def test_parts_that_foreign_keys_wait_for_are_loaded_before_larger_ones_without() -> None:
    sizes = {1: 100, 2: 20, 3: 30, 4: 60, 5: 60}
    assert in_loading_order(sizes, {}) == [1, 4, 5, 3, 2]
    assert in_loading_order(sizes, {frozenset({2, 3}): ()}) == [1, 3, 2, 4, 5]


def test_ties_are_left_out_of_a_partial_restore_with_what_is_said_about_them() -> None:
    planned = plan_post_data(*lists(), LOADED[:1], partial=True)
    assert numbers(planned.last) == [2609, 2441, 2443]
    assert numbers(planned.at_once) == [2432, 2435], "a table that is not restored has no rows to wait for"


def test_what_is_there_from_an_earlier_attempt_is_not_made_again() -> None:
    present = {
        "CONSTRAINT public b c b c_pkey",
        "INDEX ATTACH public p1_pkey",
        "FK CONSTRAINT public b c b c_pid_fkey",
    }
    planned = plan_post_data(*lists(), LOADED, present=present)
    assert numbers(planned.after_part[7]) == [2440]
    assert numbers(planned.last) == [2609, 2441, 2446, 2450, 2602]


def test_names_that_a_list_cannot_tell_apart_wait_for_all_rows() -> None:
    twins = [table("public b", "c", 1), table("public", "b c", 2)]
    planned = plan_post_data(*lists(), twins)
    assert not {2439, 2440} & {number for lines in planned.after_part.values() for number in numbers(lines)}
    assert {2439, 2440} <= set(numbers(planned.last))


def test_index_of_a_view_or_of_two_tables_waits() -> None:
    text = "9; 1259 1 INDEX public both postgres\n;\tdepends on: 221 220\n"
    planned = plan_post_data(parse_toc(TABLES + text), parse_toc(text), LOADED)
    assert numbers(planned.last) == [9]


def test_line_break_in_a_name_is_a_space_in_a_list() -> None:
    text = "5; 1259 2 TABLE public two lines postgres\n6; 1259 3 INDEX public i postgres\n;\tdepends on: 5\n"
    planned = plan_post_data(parse_toc(text), parse_toc(text)[1:], [table("public", "two\nlines", 4)])
    assert numbers(planned.after_part[4]) == [6]


def test_name_that_begins_like_one_that_is_there_is_still_made() -> None:
    text = "9; 1259 1 INDEX public x y z postgres\n;\tdepends on: 221\n"
    listing = TABLES + POST_DATA + text
    planned = plan_post_data(
        parse_toc(listing), parse_toc(POST_DATA + text), LOADED, present={"INDEX public x y"}
    )
    assert numbers(planned.after_part[7]) == [2439, 9]


def test_owner_of_several_words_is_no_part_of_a_name() -> None:
    listing = (TABLES + POST_DATA).replace(" postgres", " the captain")
    post = parse_toc(POST_DATA.replace(" postgres", " the captain"))
    planned = plan_post_data(parse_toc(listing), post, LOADED, present={"INDEX public x y"})
    assert numbers(planned.after_part[7]) == [2439]
