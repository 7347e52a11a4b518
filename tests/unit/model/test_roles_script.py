"""What pg_dumpall writes about roles, cut into statements and fitted to another server.

The script below is what pg_dumpall of PostgreSQL 15 and 18 wrote about roles made to be difficult.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lifeboat.model.roles_script import RoleStatement, role_statements, split_statements, without_superuser

SCRIPT = r'''--
-- PostgreSQL database cluster dump
--

\restrict vNZHLoFMyEh1VjxgJMyC3QMf3MXdWL33YzIswalfDhZWjGhc6lGzGI49Zz864k0

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

CREATE ROLE "-- comment";
ALTER ROLE "-- comment" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE "Ein ""Zitat""";
CREATE ROLE "Größe";
CREATE ROLE "O'Brien; DROP";
CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN VALID UNTIL '2030-01-01 00:00:00+00';
COMMENT ON ROLE app IS E'line one;
\\restrict me -- no ''comment\\';
CREATE ROLE "new
\restrict line";
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;

--
-- User Config "O'Brien; DROP"
--

ALTER ROLE app SET search_path TO 'app', 'public';
ALTER ROLE app SET application_name TO E'it''s; \\ here';
ALTER ROLE app SET "my.setting" TO 'x';

GRANT app TO "Größe" WITH ADMIN OPTION, INHERIT TRUE GRANTED BY postgres;
GRANT app TO "O'Brien; DROP" GRANTED BY "Ein ""Zitat""";
GRANT pg_read_all_data TO app GRANTED BY postgres;

GRANT SET ON PARAMETER log_min_messages TO app;
GRANT ALL ON PARAMETER "my.setting" TO "Größe" WITH GRANT OPTION;
GRANT SET ON PARAMETER work_mem TO PUBLIC;

\unrestrict vNZHLoFMyEh1VjxgJMyC3QMf3MXdWL33YzIswalfDhZWjGhc6lGzGI49Zz864k0

--
-- PostgreSQL database cluster dump complete
--
'''


def wanted(script: str = SCRIPT, existing: set[str] | None = None) -> list[tuple[str, str]]:
    statements, _ = role_statements(script, existing=existing or set(), bootstrap="postgres")
    return [(statement.role, statement.text) for statement in statements]


def test_real_script_is_cut_into_its_statements() -> None:
    statements = list(split_statements(SCRIPT))

    assert len(statements) == 23
    assert statements[0] == "SET default_transaction_read_only = off"
    assert statements[3] == 'CREATE ROLE "-- comment"'
    assert 'CREATE ROLE "O\'Brien; DROP"' in statements
    assert "COMMENT ON ROLE app IS E'line one;\n\\\\restrict me -- no ''comment\\\\'" in statements
    assert 'CREATE ROLE "new\n\\restrict line"' in statements, (
        "a name may hold what looks like psql's own lines"
    )
    assert statements[-1] == "GRANT SET ON PARAMETER work_mem TO PUBLIC"


def test_statements_reach_the_roles_they_are_about() -> None:
    roles = [role for role, _ in wanted()]

    assert set(roles) == {
        "-- comment",
        'Ein "Zitat"',
        "Größe",
        "O'Brien; DROP",
        "app",
        "new\n\\restrict line",
    }
    assert roles.count("app") == 8


def test_settings_of_the_session_and_privileges_of_everybody_are_left_out() -> None:
    texts = [text for _, text in wanted()]

    assert not any(text.startswith("SET ") or "PUBLIC" in text for text in texts)


def test_memberships_are_granted_by_whoever_restores() -> None:
    texts = [text for _, text in wanted()]

    assert 'GRANT app TO "Größe" WITH ADMIN OPTION, INHERIT TRUE' in texts
    assert 'GRANT app TO "O\'Brien; DROP"' in texts
    assert not any("GRANTED BY" in text for text in texts)


def test_privileges_on_parameters_are_not_lost() -> None:
    assert ("app", "GRANT SET ON PARAMETER log_min_messages TO app") in wanted()
    assert ("Größe", 'GRANT ALL ON PARAMETER "my.setting" TO "Größe" WITH GRANT OPTION') in wanted()


def test_roles_that_exist_and_the_bootstrap_role_are_left_alone_and_named_once() -> None:
    statements, left = role_statements(SCRIPT, existing={"app", "Größe"}, bootstrap="postgres")

    assert left == ["Größe", "app", "postgres"]
    assert {statement.role for statement in statements} == {
        "-- comment",
        'Ein "Zitat"',
        "O'Brien; DROP",
        "new\n\\restrict line",
    }


def test_new_role_joins_a_role_that_exists() -> None:
    assert ("O'Brien; DROP", 'GRANT app TO "O\'Brien; DROP"') in wanted(existing={"app"})


def test_names_are_compared_as_they_are_and_not_folded() -> None:
    assert wanted('CREATE ROLE "App";', existing={"app"}) == [("App", 'CREATE ROLE "App"')]


def test_backslash_in_a_plain_string_escapes_nothing() -> None:
    script = "ALTER ROLE a SET x TO 'C:\\'; CREATE ROLE b;"

    assert list(split_statements(script)) == ["ALTER ROLE a SET x TO 'C:\\'", "CREATE ROLE b"]


def test_letter_e_before_a_string_counts_only_as_a_word_of_its_own_kind() -> None:
    assert list(split_statements("COMMENT ON ROLE E IS 'a;\\'; SET x = E'\\';'")) == [
        "COMMENT ON ROLE E IS 'a;\\'"
    ]
    assert list(split_statements("SET x = E'\\';';")) == ["SET x = E'\\';'"]


def test_comment_behind_a_statement_is_dropped_and_one_inside_a_string_is_kept() -> None:
    script = "CREATE ROLE a -- not; this\n;COMMENT ON ROLE a IS '-- this; stays';"

    assert list(split_statements(script)) == ["CREATE ROLE a", "COMMENT ON ROLE a IS '-- this; stays'"]


def test_script_without_statements_has_none() -> None:
    assert list(split_statements("")) == list(split_statements("-- only\n\n;;\n")) == []


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
QUOTED = NAMES.map(lambda name: '"' + name.replace('"', '""') + '"')
PLAIN = NAMES.map(lambda text: "'" + text.replace("'", "''") + "'")
ESCAPED = NAMES.map(lambda text: "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'")
STATEMENTS = (
    st.builds("CREATE ROLE {}".format, QUOTED)
    | st.builds("COMMENT ON ROLE {} IS {}".format, QUOTED, PLAIN | ESCAPED)
    | st.builds("ALTER ROLE {} SET {} TO {}, {}".format, QUOTED, QUOTED, PLAIN, ESCAPED)
    | st.builds("GRANT {} TO {} GRANTED BY {}".format, QUOTED, QUOTED, QUOTED)
)
NOISE = st.sampled_from(
    ["", "\n", "\n-- a; comment's \"quote\n", "\n\\restrict token\n", "\n\\unrestrict x;y\n", "  "]
)


@settings(max_examples=300)
@given(st.lists(st.tuples(STATEMENTS, NOISE), max_size=6))
def test_whatever_names_hold_statements_come_back_as_they_were(script: list[tuple[str, str]]) -> None:
    text = "".join(f"{statement};{noise}" for statement, noise in script)

    assert list(split_statements(text)) == [statement for statement, _ in script]


@settings(max_examples=200)
@given(NAMES, NAMES, PLAIN | ESCAPED)
def test_whatever_its_name_a_role_is_recognised_and_so_left_alone(
    name: str, group: str, comment: str
) -> None:
    quoted, other = ('"' + text.replace('"', '""') + '"' for text in (name, group))
    script = (
        f"CREATE ROLE {quoted}; COMMENT ON ROLE {quoted} IS {comment}; ALTER ROLE {quoted} SET x TO {comment};"
        f"GRANT {other} TO {quoted} GRANTED BY {other};"
    )

    assert role_statements(script, existing={name}, bootstrap="postgres") == ([], [name])
    assert {role for role, _ in wanted(script)} == ({name} - {"postgres"})


def test_statement_for_a_server_without_superusers_names_no_attribute_that_takes_one() -> None:
    text = "ALTER ROLE \"a WITH SUPERUSER\" WITH NOSUPERUSER INHERIT NOCREATEROLE LOGIN REPLICATION NOBYPASSRLS VALID UNTIL '2030 SUPERUSER'"
    fitted, lost = without_superuser(RoleStatement(text, "a"))
    assert (
        fitted.text
        == "ALTER ROLE \"a WITH SUPERUSER\" WITH INHERIT NOCREATEROLE LOGIN VALID UNTIL '2030 SUPERUSER'"
    )
    assert lost == ["REPLICATION"]


def test_statement_about_something_else_than_attributes_stays_as_it_is() -> None:
    for text in ("CREATE ROLE a", "ALTER ROLE a SET search_path TO 'SUPERUSER'", "GRANT a TO b"):
        assert without_superuser(RoleStatement(text, "a")) == (RoleStatement(text, "a"), [])
