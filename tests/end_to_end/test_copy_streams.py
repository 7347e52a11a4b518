"""COPY streams of real servers through the sealing child, compared with what psql gets from the same COPY."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.folders import let_through
from support.harbour import NEWEST, Harbour, run
from support.postgres import MAJORS
from support.servers import FixedPassword

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.postgres import PostgresServer, conninfo
from lifeboat.adapters.sealing import CopiedTable, Copies, SealedPart, seal
from lifeboat.adapters.spool import Spool
from lifeboat.errors import ProducerFailed

pytestmark = pytest.mark.postgres

IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(2)]


@dataclasses.dataclass(frozen=True)
class Bench:
    spool: Spool
    crew: Crew

    def seal(self, copies: Copies, *, limit: float = 30) -> SealedPart:
        return seal(
            [copies],
            self.spool.path(1),
            recipients=[str(identity.to_public()) for identity in IDENTITIES],
            spool=self.spool,
            crew=self.crew,
            deadline=clock.Deadline.after(limit),
            label="shop",
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Spool(tmp_path / "spool", "run-1", limit=2**28) as spool, Crew() as crew:
        yield Bench(spool, crew)


def copies(server: PostgresServer, *tables: CopiedTable, session: tuple[str, ...] = ("BEGIN",)) -> Copies:
    return Copies("copy", server.copy_settings("shop", {}), session, tables)


def streams(part: SealedPart) -> list[bytes]:
    packed = pyrage.decrypt(part.path.read_bytes(), [IDENTITIES[0]])
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    return [plain[each.offset : each.offset + each.length] for each in part.segments]


def by_psql(server: PostgresServer, major: int, copy: str, encoding: str) -> bytes:
    argv = [server.program("psql", major), "-Xqc", f"COPY {copy} TO STDOUT (ENCODING '{encoding}')"]
    environment = server.environment(encoding="UTF8")
    return subprocess.run([*argv, conninfo("shop")], env=environment, capture_output=True, check=True).stdout


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_streams_are_byte_for_byte_what_psql_gets(
    clean_harbour: Harbour, bench: Bench, major: int, encoding: str
) -> None:
    server = FixedPassword.of(clean_harbour.cluster(major))
    run(server, "postgres", f"CREATE DATABASE shop TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    run(
        server,
        "shop",
        r"""
        CREATE TABLE large AS SELECT n, repeat('é\x', 40) s, NULLIF(n % 7, 3) m FROM generate_series(1, 60000) n;
        CREATE TABLE empty (id int);
        CREATE TABLE nothing ();
        INSERT INTO nothing DEFAULT VALUES;
        INSERT INTO nothing DEFAULT VALUES;
        CREATE SCHEMA "a""b.c";
        CREATE TABLE "a""b.c"."größe; --" ("x y" text, "No""x" bytea);
        INSERT INTO "a""b.c"."größe; --" VALUES (E'\\.', '\x00ff0a5c2e'), (E'a\tb\nc\rd\\', NULL), ('', '');
        """,
    )
    wanted = {
        "public.large (s, n, m)": CopiedTable("public", "large", ("s", "n", "m"), encoding),
        "public.empty": CopiedTable("public", "empty", ("id",), encoding),
        "public.nothing": CopiedTable("public", "nothing", (), encoding),
        '"a""b.c"."größe; --" ("No""x","x y")': CopiedTable('a"b.c', "größe; --", ('No"x', "x y"), encoding),
    }

    part = bench.seal(copies(server, *wanted.values()))

    assert streams(part) == [by_psql(server, major, copy, encoding) for copy in wanted]
    assert [segment.rows for segment in part.segments] == [60_000, 0, 2, 3]


def test_streams_of_one_part_come_one_after_the_other_from_one_child(
    shop: PostgresServer, bench: Bench
) -> None:
    run(shop, "shop", "CREATE TABLE t AS SELECT generate_series(1, 5) n")
    table = CopiedTable("public", "t", ("n",), "UTF8")

    part = bench.seal(copies(shop, *[table] * 200))

    assert [segment.rows for segment in part.segments] == [5] * 200
    assert [segment.offset for segment in part.segments] == [10 * number for number in range(200)]


@pytest.mark.parametrize(
    ("session", "table", "complaint"),
    [
        (("BEGIN",), "missing", 'relation "public.missing" does not exist'),
        (
            ("BEGIN ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'"),
            "t",
            "snapshot",
        ),
    ],
)
def test_copy_that_the_server_refuses_leaves_no_part(
    shop: PostgresServer, bench: Bench, session: tuple[str, ...], table: str, complaint: str
) -> None:
    run(shop, "shop", "CREATE TABLE t AS SELECT generate_series(1, 5) n")
    first = CopiedTable("public", "t", ("n",), "UTF8")

    with pytest.raises(ProducerFailed, match=f"copy failed: ERROR: .*{complaint}"):
        bench.seal(copies(shop, first, CopiedTable("public", table, (), "UTF8"), session=session))

    assert bench.spool.used == 0
    assert not bench.spool.path(1).exists()


def test_wrong_password_is_told_without_it(shop: PostgresServer, bench: Bench) -> None:
    stranger = dataclasses.replace(shop, password=FixedPassword("S3CRET-canary"))

    with pytest.raises(ProducerFailed, match="password authentication failed") as caught:
        bench.seal(copies(stranger, CopiedTable("public", "t", ("n",), "UTF8")))

    assert "S3CRET" not in str(caught.value)


def test_backend_that_is_terminated_in_the_middle_fails_the_part(shop: PostgresServer, bench: Bench) -> None:
    """F4. The table is larger than all buffers on the way, so its COPY is still at work."""
    run(shop, "shop", "CREATE TABLE t AS SELECT n, repeat('x', 900) s FROM generate_series(1, 120000) n")
    killer = threading.Thread(target=_terminate_copy, args=(shop,))
    killer.start()

    with pytest.raises(ProducerFailed, match="terminating connection") as caught:
        bench.seal(copies(shop, *[CopiedTable("public", "t", ("n", "s"), "UTF8")] * 20))

    killer.join()
    assert "ended the connection" in caught.value.hint
    assert bench.spool.used == 0


def _terminate_copy(server: PostgresServer) -> None:
    deadline = clock.Deadline.after(20)
    with server.connect() as session:
        ended: list[object] = []
        while not ended and not deadline.passed():
            ended = list(
                session.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %' "
                    "AND state = 'active'"
                ).fetchall()
            )


@pytest.fixture
def shop(clean_harbour: Harbour) -> PostgresServer:
    if not NEWEST:
        pytest.skip("no PostgreSQL server is installed")
    server = FixedPassword.of(clean_harbour.cluster(NEWEST))
    run(server, "postgres", "CREATE DATABASE shop")
    return server


# --- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ca.pem``, ``other.pem`` (an authority that signed nothing), ``server.pem`` and ``server.key`` for localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    let_through(folder)
    authority, authority_key = _certificate("authority", None, None)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "other.pem").write_bytes(
        _certificate("other", None, None)[0].public_bytes(serialization.Encoding.PEM)
    )
    server, key = _certificate("localhost", authority, authority_key)
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


def _certificate(
    name: str, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = clock.utc_now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return made.sign(issuer_key or key, hashes.SHA256()), key


@pytest.fixture
def tls_server(clean_harbour: Harbour, certificates: Path) -> PostgresServer:
    if 15 not in MAJORS:
        pytest.skip("needs Debian's PostgreSQL 15: the wheel's servers are built without TLS")
    cluster = clean_harbour.cluster(15, "tls")
    for name in ("server.pem", "server.key"):
        target = cluster.folder / name
        shutil.copy(certificates / name, target)
        target.chmod(0o600)
        owner = cluster.folder.stat()
        shutil.chown(target, owner.st_uid, owner.st_gid)
    server = FixedPassword.of(cluster)
    for setting, value in (
        ("ssl_cert_file", cluster.folder / "server.pem"),
        ("ssl_key_file", cluster.folder / "server.key"),
        ("ssl", "on"),
    ):
        run(server, "postgres", f"ALTER SYSTEM SET {setting} = '{value}'")
    run(server, "postgres", "SELECT pg_reload_conf()")
    run(server, "postgres", "CREATE DATABASE shop")
    run(server, "shop", "CREATE TABLE t AS SELECT 1 AS encrypted")
    return server


T = CopiedTable("public", "t", ("encrypted",), "UTF8")


@pytest.mark.parametrize(
    ("host", "mode", "ca"),
    [
        ("localhost", "verify-full", "ca.pem"),
        ("127.0.0.1", "verify-ca", "ca.pem"),
        ("127.0.0.1", "require", None),
    ],
)
def test_connection_is_encrypted_and_its_server_verified(
    tls_server: PostgresServer, certificates: Path, bench: Bench, host: str, mode: str, ca: str | None
) -> None:
    server = dataclasses.replace(
        tls_server, host=host, tls_mode=mode, tls_ca_file=str(certificates / ca) if ca else None
    )
    only_encrypted = "DO $$ BEGIN ASSERT (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()); END $$"

    assert streams(bench.seal(copies(server, T, session=(only_encrypted, "BEGIN")))) == [b"1\n"]


@pytest.mark.parametrize(
    ("host", "mode", "ca"),
    [
        ("127.0.0.1", "verify-full", "ca.pem"),
        ("localhost", "verify-full", "other.pem"),
        ("127.0.0.1", "verify-ca", "other.pem"),
    ],
)
def test_server_that_cannot_prove_itself_is_refused(
    tls_server: PostgresServer, certificates: Path, bench: Bench, host: str, mode: str, ca: str
) -> None:
    server = dataclasses.replace(tls_server, host=host, tls_mode=mode, tls_ca_file=str(certificates / ca))

    with pytest.raises(ProducerFailed, match="certificate verify failed"):
        bench.seal(copies(server, T))


def test_server_without_tls_is_refused_where_tls_is_asked_for(shop: PostgresServer, bench: Bench) -> None:
    with pytest.raises(ProducerFailed, match="(?i)ssl"):
        bench.seal(copies(dataclasses.replace(shop, tls_mode="require"), T))
