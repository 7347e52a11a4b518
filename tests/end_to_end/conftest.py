"""Servers and ships for the tests that sail the whole way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.harbour import NEWEST, Harbour, make_ship, run
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.postgres import PostgresServer


@pytest.fixture(scope="session")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    with contextlib.ExitStack() as stack:
        yield Harbour(tmp_path_factory.mktemp("harbour"), stack)


@pytest.fixture
def clean_harbour(harbour: Harbour) -> Iterator[Harbour]:
    """Empty clusters, and empty again after the test."""
    yield harbour
    harbour.clean()


@pytest.fixture
def server(clean_harbour: Harbour) -> PostgresServer:
    """The newest PostgreSQL, empty."""
    if not NEWEST:
        pytest.skip("no PostgreSQL server is installed")
    return FixedPassword.of(clean_harbour.cluster(NEWEST))


@pytest.fixture
def ship(server: PostgresServer, tmp_path: Path) -> Ship:
    """A server with one small database ``shop``, and an empty store."""
    run(server, "postgres", "CREATE DATABASE shop")
    run(
        server,
        "shop",
        """CREATE TABLE t (id int PRIMARY KEY, s text);
           INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 2000) n;
           CREATE TABLE u (id int REFERENCES t, b bytea);
           INSERT INTO u SELECT n, decode(md5(n::text), 'hex') FROM generate_series(1, 500) n""",
    )
    return make_ship(server, tmp_path, "shop")
