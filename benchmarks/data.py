"""The rows of a company that runs vehicles and sells things: the same ones every time.

Values come from hashes of row numbers instead of ``random()``, so that two runs compare the same bytes. At scale 1
the database ``company`` holds about 1.2 GB of COPY text; its largest table is a verbose event log.
"""

from __future__ import annotations

from lifeboat.adapters.postgres import PostgresServer

ROWS = {
    "vehicle_event": 1_500_000,
    "vehicle_position": 3_200_000,
    "customer_order": 900_000,
    "order_line": 2_700_000,
    "customer": 600_000,
    "service_report": 240_000,
    "product": 3_000,
}
"""Rows at scale 1."""

_SCHEMA = """
CREATE FUNCTION pg_temp.pick(seed bigint, salt bigint, choices integer) RETURNS integer LANGUAGE sql IMMUTABLE
    AS $$ SELECT ((hashint8extended(seed, salt) & 2147483647) % choices)::integer $$;

CREATE TABLE customer (id bigint, name text, email text, street text, city text, country char(2),
    newsletter boolean, created_at timestamptz);
CREATE TABLE product (id bigint, code text, title text, price numeric(10, 2));
CREATE TABLE customer_order (id bigint, customer_id bigint, ordered_at timestamptz, state text, currency char(3),
    total numeric(12, 2), remark text);
CREATE TABLE order_line (order_id bigint, position smallint, product_id bigint, title text, quantity smallint,
    price numeric(10, 2), vat numeric(4, 2));
CREATE TABLE vehicle_position (vehicle_id integer, recorded_at timestamptz, latitude numeric(9, 5),
    longitude numeric(9, 5), speed smallint, heading smallint, battery smallint, state text);
CREATE TABLE vehicle_event (id bigint, vehicle_id integer, recorded_at timestamptz, kind text, payload jsonb);
CREATE TABLE service_report (id bigint, vehicle_id integer, mechanic text, written_on date, report text);
"""

_FILL = {
    "customer": """
        SELECT i, first || ' ' || last, lower(first || '.' || last) || i || '@example.org',
            (ARRAY['Hauptstraße', 'Bahnhofstraße', 'Gartenweg', 'Lindenallee', 'Schulstraße', 'Am Markt'])
                [1 + pick(i, 3, 6)] || ' ' || 1 + pick(i, 4, 120),
            (ARRAY['10115 Berlin', '20095 Hamburg', '80331 München', '50667 Köln', '04109 Leipzig', '1010 Wien'])
                [1 + pick(i, 5, 6)],
            (ARRAY['DE', 'DE', 'DE', 'AT', 'CH'])[1 + pick(i, 6, 5)], pick(i, 7, 3) = 0,
            '2019-01-01'::timestamptz + i * interval '7 minutes'
        FROM rows, LATERAL (SELECT
            (ARRAY['Anna', 'Ben', 'Clara', 'David', 'Elif', 'Finn', 'Greta', 'Hannes', 'Ida', 'Jonas', 'Katarzyna',
                'Luis'])[1 + pick(i, 1, 12)] AS first,
            (ARRAY['Müller', 'Schmidt', 'Schneider', 'Fischer', 'Weber', 'Yilmaz', 'Wagner', 'Becker', 'Nowak',
                'Hoffmann'])[1 + pick(i, 2, 10)] AS last) AS names""",
    "product": """
        SELECT i, 'P-' || lpad(i::text, 6, '0'),
            (ARRAY['Brake pad', 'Oil filter', 'Wiper blade', 'Charging cable', 'Winter tyre', 'Floor mat'])
                [1 + pick(i, 1, 6)] || ' model ' || pick(i, 2, 400), 5 + pick(i, 3, 40000) / 100.0
        FROM rows""",
    "customer_order": """
        SELECT i, 1 + pick(i, 1, {customer}), '2022-01-01'::timestamptz + i * interval '3 minutes',
            (ARRAY['delivered', 'delivered', 'delivered', 'delivered', 'shipped', 'cancelled', 'open'])
                [1 + pick(i, 2, 7)], 'EUR', pick(i, 3, 90000) / 100.0,
            CASE pick(i, 4, 10) WHEN 0 THEN 'Please ring the bell twice.' WHEN 1 THEN 'Leave it with the neighbour.'
                ELSE '' END
        FROM rows""",
    "order_line": """
        SELECT 1 + i / 3, 1 + i % 3, 1 + p, (ARRAY['Brake pad', 'Oil filter', 'Wiper blade', 'Charging cable',
            'Winter tyre', 'Floor mat'])[1 + pick(p, 1, 6)] || ' model ' || pick(p, 2, 400),
            1 + pick(i, 2, 4), 5 + pick(p, 3, 40000) / 100.0, 19.00
        FROM rows, LATERAL (SELECT pick(i, 1, {product}) AS p) AS chosen WHERE 1 + i / 3 <= {customer_order}""",
    "vehicle_position": """
        SELECT 1 + i / 2000, '2026-01-01'::timestamptz + (i % 2000) * interval '10 seconds',
            52.5 + (i / 40 % 50) * 0.0001 + pick(i / 2000, 1, 9000) / 10000.0 + pick(i, 6, 90) / 100000.0,
            13.4 + (i / 20 % 100) * 0.0001 + pick(i / 2000, 2, 9000) / 10000.0 + pick(i, 7, 90) / 100000.0,
            10 * pick(i / 30, 3, 6) + pick(i, 4, 3), 15 * pick(i / 60, 5, 24), 100 - (i % 2000) / 25,
            CASE WHEN pick(i / 30, 3, 6) = 0 THEN 'standing' ELSE 'driving' END
        FROM rows""",
    "vehicle_event": """
        SELECT i, 1 + pick(i, 1, 1300), '2026-01-01'::timestamptz + i * interval '6 seconds', kind,
            jsonb_build_object('schema', 'com.example.vehicle.event/3', 'kind', kind, 'firmware',
                '4.' || pick(i, 3, 4) || '.2', 'region', 'europe-central', 'ignition', pick(i, 4, 2) = 0,
                'odometer', 10000 + i / 40, 'temperature', 15 + pick(i, 5, 15), 'tyres', jsonb_build_object(
                'front_left', 2.4, 'front_right', 2.4, 'rear_left', 2.5,
                'rear_right', round(2.3 + pick(i, 6, 3) / 10.0, 1)),
                'voltage', round(11.5 + pick(i, 8, 900) / 300.0, 2), 'trace', to_hex(hashint8extended(i, 9)),
                'session', to_hex(hashint8extended(i / 50, 7)), 'acknowledged', true, 'source', 'telematics-gateway')
        FROM rows, LATERAL (SELECT (ARRAY['door.opened', 'door.closed', 'engine.started', 'engine.stopped',
            'charging.finished', 'tyre.pressure'])[1 + pick(i, 2, 6)] AS kind) AS chosen""",
    "service_report": """
        SELECT i, 1 + pick(i, 1, 1300), (ARRAY['Weber', 'Nowak', 'Yilmaz', 'Fischer'])[1 + pick(i, 2, 4)],
            '2023-01-01'::date + (i / 300)::integer, (SELECT string_agg((ARRAY[
            'Brake fluid checked and topped up.', 'Front brake pads replaced, wear indicator was at its limit.',
            'Software of the control unit updated without errors.', 'Test drive of five kilometres, nothing unusual.',
            'Customer reports a noise from the rear axle; could not be reproduced.', 'Tyres rotated and balanced.'])
            [1 + pick(i, 10 + n, 6)], ' ' ORDER BY n) FROM generate_series(1, 7) AS n)
        FROM rows""",
}

_INDEXES = """
ALTER TABLE customer ADD PRIMARY KEY (id);
ALTER TABLE product ADD PRIMARY KEY (id);
ALTER TABLE customer_order ADD PRIMARY KEY (id);
ALTER TABLE order_line ADD PRIMARY KEY (order_id, position);
ALTER TABLE vehicle_event ADD PRIMARY KEY (id);
ALTER TABLE service_report ADD PRIMARY KEY (id);
ALTER TABLE customer_order ADD FOREIGN KEY (customer_id) REFERENCES customer;
ALTER TABLE order_line ADD FOREIGN KEY (order_id) REFERENCES customer_order;
CREATE INDEX ON customer (email);
CREATE INDEX ON customer_order (customer_id, ordered_at);
CREATE INDEX ON vehicle_position (vehicle_id, recorded_at);
CREATE INDEX ON vehicle_event (vehicle_id, recorded_at);
ANALYZE;
"""

_SMALL_DATABASES = 50
_SMALL_TABLES = 10
_SMALL_ROWS = 1_000


def create_company(server: PostgresServer, scale: float) -> tuple[str, ...]:
    """One database of seven tables; returns the names of what was made."""
    rows = {table: max(10, round(count * scale)) for table, count in ROWS.items()}
    _create(server, "company")
    with server.connect("company") as session:
        session.execute(_SCHEMA)
        for table, query in _FILL.items():
            filled = query.replace("pick(", "pg_temp.pick(").format(**rows)
            numbers = f"WITH rows AS (SELECT generate_series(1, {rows[table]}::bigint) AS i)"
            session.execute(f"INSERT INTO {table} {numbers} {filled}".encode())
        session.execute(_INDEXES)
        session.execute("VACUUM")
    return ("company",)


def create_many(server: PostgresServer, scale: float) -> tuple[str, ...]:
    """Fifty databases of ten small tables each; ``scale`` is the share of the databases."""
    names = tuple(f"tenant{number:02d}" for number in range(max(1, round(_SMALL_DATABASES * scale))))
    _create(server, names[0])
    with server.connect(names[0]) as session:
        for number in range(_SMALL_TABLES):
            session.execute(
                f"CREATE TABLE record{number} AS SELECT i AS id, 'Record ' || i AS title, i % 7 AS state, "
                f"'2026-01-01'::timestamptz + i * interval '1 hour' AS changed_at "
                f"FROM generate_series(1, {_SMALL_ROWS}) AS i; ALTER TABLE record{number} ADD PRIMARY KEY (id)".encode()
            )
    for name in names[1:]:
        _create(server, name, template=names[0])
    return names


def row_counts(server: PostgresServer, database: str) -> dict[str, int]:
    """Rows of every table of a database."""
    with server.connect(database) as session:
        tables = session.execute("SELECT relname FROM pg_stat_user_tables ORDER BY 1").fetchall()
        counted = {}
        for (table,) in tables:
            found = session.execute(f'SELECT count(*) FROM "{table}"'.encode()).fetchone()
            counted[str(table)] = int(str(found[0])) if found else 0
    return counted


def _create(server: PostgresServer, name: str, *, template: str = "template0") -> None:
    with server.connect() as session:
        session.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
