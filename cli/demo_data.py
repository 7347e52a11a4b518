"""Sample databases for the demo: what a real server has - partitions, large objects, odd names, roles."""

from __future__ import annotations

from lifeboat.adapters.postgres import PostgresServer

ROLES = '''
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_reader NOLOGIN;
CREATE ROLE "Röle with ""quotes""" NOLOGIN;
GRANT shop_reader TO shop_owner;
'''

SHOP = """
CREATE SCHEMA sales AUTHORIZATION shop_owner;
SET ROLE shop_owner;
CREATE TYPE sales.state AS ENUM ('open', 'paid', 'sent');
CREATE TABLE sales.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text UNIQUE,
    notes jsonb DEFAULT '{}');
CREATE TABLE sales.orders (
    id bigserial, customer bigint REFERENCES sales.customers, placed timestamptz NOT NULL, state sales.state NOT NULL,
    cents bigint NOT NULL, euros numeric GENERATED ALWAYS AS (cents / 100.0) STORED, PRIMARY KEY (id, placed)
) PARTITION BY RANGE (placed);
CREATE TABLE sales.orders_2025 PARTITION OF sales.orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE sales.orders_2026 PARTITION OF sales.orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON sales.orders (customer);
CREATE TABLE sales."Order lines; -- all" (order_id bigint, position int, article text, amount int);
INSERT INTO sales.customers (name, email)
    SELECT 'Customer ' || n, 'customer' || n || '@example.org' FROM generate_series(1, 20000) n;
INSERT INTO sales.orders (customer, placed, state, cents)
    SELECT 1 + n % 20000, '2025-01-01'::timestamptz + n * interval '2 minutes',
           (enum_range(NULL::sales.state))[1 + n % 3], (n::bigint * 7919) % 100000
    FROM generate_series(1, 400000) n;
INSERT INTO sales."Order lines; -- all"
    SELECT n / 3, n % 3, md5(n::text), n % 9 FROM generate_series(1, 600000) n;
CREATE TABLE sales.documents (customer bigint REFERENCES sales.customers, path text PRIMARY KEY);
INSERT INTO sales.documents
    SELECT 1 + c, format('customer-%s/%s.txt', lpad(c::text, 2, '0'), lpad(n::text, 3, '0'))
    FROM generate_series(0, 11) c, generate_series(0, 38, 2) n;
CREATE MATERIALIZED VIEW sales.turnover AS
    SELECT date_trunc('month', placed) AS month, sum(cents) AS cents FROM sales.orders GROUP BY 1;
GRANT USAGE ON SCHEMA sales TO shop_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA sales TO shop_reader;
COMMENT ON TABLE sales.customers IS 'Who buys from us';
RESET ROLE;
SELECT lo_from_bytea(0, decode(repeat('c0ffee', 50000), 'hex')) FROM generate_series(1, 5);
"""

FLEET = """
CREATE TABLE vehicles (id int PRIMARY KEY, plate text, seen timestamptz, position point);
INSERT INTO vehicles SELECT n, 'B-DA ' || n, now(), point(n, -n) FROM generate_series(1, 5000) n;
CREATE TABLE telemetry (vehicle int, at timestamptz, value double precision, raw bytea);
INSERT INTO telemetry
    SELECT n % 5000, '2026-01-01'::timestamptz + n * interval '1 second', sin(n), decode(md5(n::text), 'hex')
    FROM generate_series(1, 500000) n;
CREATE INDEX ON telemetry (vehicle, at);
"""

ARCHIVE = '''
CREATE TABLE "Ümlaut & ""quotes""" (id serial, "the text" text);
INSERT INTO "Ümlaut & ""quotes""" ("the text") SELECT E'line\\nbreak\\t\\\\ ' || n FROM generate_series(1, 1000) n;
'''

DATABASES = {"shop": SHOP, "fleet": FLEET, "archive 2024": ARCHIVE}

A_DAY_OF_WORK = {
    "shop": """
        INSERT INTO sales.customers (name, email) SELECT 'New ' || n, 'new' || n || '@example.org'
            FROM generate_series(1, 500) n;
        INSERT INTO sales.orders (customer, placed, state, cents)
            SELECT 20000 + n, '2026-11-01'::timestamptz + n * interval '1 hour', 'open', n
            FROM generate_series(1, 500) n;
        UPDATE sales.orders SET state = 'paid' WHERE id <= 1000;
        DELETE FROM sales."Order lines; -- all" WHERE order_id < 100;
    """,
    "fleet": "INSERT INTO vehicles SELECT n, 'B-NEW ' || n, now(), point(0, n) FROM generate_series(5001, 5100) n;",
}


def fill(server: PostgresServer) -> None:
    """Create the sample databases."""
    with server.connect() as session:
        session.execute(ROLES.encode())
        for name in DATABASES:
            session.execute(f'CREATE DATABASE "{name}"'.encode())
        session.execute(b"ALTER DATABASE shop SET work_mem = '8MB'; COMMENT ON DATABASE shop IS 'The shop'")
        session.execute(b"GRANT CREATE ON DATABASE shop TO shop_owner")
    run(server, DATABASES)


def run(server: PostgresServer, scripts: dict[str, str]) -> None:
    """Run one script per database."""
    for name, script in scripts.items():
        with server.connect(name) as session:
            session.execute(script.encode())
