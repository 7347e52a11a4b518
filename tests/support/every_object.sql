-- One of every kind of object that PostgreSQL 15 to 18 keeps in a database, some awkward on purpose.
-- Needs the roles "every owner", every_reader and "Every ""quoted"" Röle". Sent as one string, without psql.

CREATE SCHEMA "Odd schema; -- '" AUTHORIZATION "every owner";
CREATE SCHEMA types;
COMMENT ON SCHEMA types IS 'Types, with a ''quote''';
GRANT USAGE, CREATE ON SCHEMA types TO every_reader WITH GRANT OPTION;

-- Types
CREATE TYPE types.colour AS ENUM ('red', 'green', 'blue; --', 'Grün');
CREATE TYPE types.pair AS (x int, "y y" text COLLATE "C");
COMMENT ON COLUMN types.pair."y y" IS 'second';
CREATE DOMAIN types.positive AS int DEFAULT 1 NOT NULL CONSTRAINT positive CHECK (VALUE > 0);
COMMENT ON DOMAIN types.positive IS 'above zero';
COMMENT ON CONSTRAINT positive ON DOMAIN types.positive IS 'the check';
CREATE TYPE types.float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE types.shell;
CREATE COLLATION types.posix (provider = libc, locale = 'C');
COMMENT ON COLLATION types.posix IS 'bytes';

-- Functions, procedures, aggregates, operators, casts
CREATE FUNCTION types.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION types.standard(a int, b text DEFAULT 'x;y') RETURNS text LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT a::text || b; END;
CREATE FUNCTION types.settings() RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = types, "Odd schema; -- '" COST 10 AS $x$ BEGIN RETURN 1; END $x$;
ALTER FUNCTION types.settings() OWNER TO "every owner";
REVOKE EXECUTE ON FUNCTION types.settings() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION types.settings() TO every_reader;
CREATE FUNCTION types.many() RETURNS TABLE (n int, s text) LANGUAGE sql ROWS 3 AS 'VALUES (1, ''a''), (2, ''b'')';
CREATE PROCEDURE types.act(INOUT n int) LANGUAGE plpgsql AS 'BEGIN n := n + 1; COMMIT; END';
CREATE AGGREGATE types.total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE OPERATOR types.@@@ (leftarg = int, rightarg = int, function = int4pl, commutator = OPERATOR(types.@@@));
CREATE FUNCTION types.pair_text(types.pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x::text';
CREATE CAST (types.pair AS text) WITH FUNCTION types.pair_text(types.pair) AS ASSIGNMENT;
COMMENT ON CAST (types.pair AS text) IS 'a cast';
CREATE OPERATOR FAMILY types.ints USING btree;
CREATE OPERATOR CLASS types.int_ops FOR TYPE int USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
CREATE FUNCTION types.on_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := true; RETURN NEW; END';
CREATE FUNCTION types.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''ddl''; END';
CREATE CONVERSION types.own FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE ACCESS METHOD own_heap TYPE TABLE HANDLER heap_tableam_handler;

-- Text search
CREATE TEXT SEARCH DICTIONARY types.plain (TEMPLATE = simple, stopwords = english);
CREATE TEXT SEARCH CONFIGURATION types.search (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION types.search ALTER MAPPING FOR word WITH types.plain;

-- Sequences of all kinds
CREATE SEQUENCE types.advanced AS smallint INCREMENT 3 MINVALUE -5 MAXVALUE 300 START 7 CACHE 5 CYCLE;
SELECT nextval('types.advanced'), nextval('types.advanced');
CREATE SEQUENCE types.untouched;
CREATE SEQUENCE types."down; --" INCREMENT -2 START -1;
SELECT setval('types."down; --"', -41, false);
CREATE UNLOGGED SEQUENCE types.unlogged;
GRANT USAGE ON SEQUENCE types.advanced TO every_reader;

-- Tables
CREATE TABLE every_value (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 10) PRIMARY KEY,
    serial_id serial, a_text text DEFAULT 'x', empty text, f float8, r real, n numeric, d date, ts timestamptz, i interval,
    b bytea, j jsonb, js json, u uuid, arr int[][], texts text[], colour types.colour, pair types.pair, pairs types.pair[],
    positive types.positive, range int4range, multi int4multirange, fr types.float_range, bits bit varying(9), net inet,
    tsv tsvector, point point, path path, money money, c "char", ch char(5), oid_value oid, bool bool, time_tz timetz,
    lsn pg_lsn, twice int GENERATED ALWAYS AS (serial_id * 2) STORED, touched bool, "column "" with; \ ümlaut" text
);
COMMENT ON TABLE every_value IS E'tab\tnewline\nquote '' backslash \\';
COMMENT ON COLUMN every_value."column "" with; \ ümlaut" IS 'Ümlaut';
COMMENT ON CONSTRAINT every_value_pkey ON every_value IS 'the key';
INSERT INTO every_value (f, r, n, d, ts, i, b, j, js, u, arr, texts, colour, pair, pairs, range, multi, fr, bits, net, tsv,
                         point, path, c, ch, oid_value, bool, time_tz, lsn, a_text, empty, "column "" with; \ ümlaut")
VALUES
  ('NaN', '-Infinity', 'NaN', 'infinity', '-infinity', '-1 year 2 mons -3 days 04:05:06.789', '\x00ff5c0a0d09', '{"a": [1, null, "\\u0041"]}',
   '{"b":  1, "b": 2}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{{1,NULL},{3,4}}', '{"a,b","\"q\"",NULL,"NULL",""}', 'blue; --',
   '(1,"a ""q"" b")', '{"(1,a)","(,)"}', '[1,)', '{[1,3),[5,9)}', '[1.5,2.5]', '101', '::1/64', 'a:1A b:2', '(1,2)', '[(0,0),(1,1)]',
   'x', 'ab', 4294967295, true, '12:00:00+05:30', '16/B374D848', E'\\.\n\\N\ttab\r\b\f\v', '', E'\\.'),
  ('Infinity', 1e-38, 1e-300, '4713-01-01 BC', '0044-03-15 12:00 BC', 'P1Y', '', 'null', 'null', NULL, '{}', '{}', 'Grün', NULL, '{}', 'empty', '{}',
   'empty', '', '10.0.0.0/8', '', NULL, NULL, '', '', 0, false, NULL, NULL, E'\u00e4\U0001F6DF\u0001', NULL, '\N'),
  (0.1::float8 + 0.2::float8, 3.4028235e38, 123456789012345678901234567890.123456789, '5874897-12-31', '2024-02-29 23:59:60', '0',
   decode(repeat('00', 3000), 'hex'), '"x"', '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, NULL, NULL, NULL, '\.', '\N', repeat(E'line\n\\.\n', 3));
INSERT INTO every_value (a_text) SELECT n::text FROM generate_series(1, 500) n;
DELETE FROM every_value WHERE a_text = '77';

CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE only_generated (g int GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO only_generated DEFAULT VALUES;
INSERT INTO only_generated DEFAULT VALUES;
CREATE TABLE only_line_ends (s text);
INSERT INTO only_line_ends VALUES (''), (NULL), (''), (E'\n'), ('\.');
CREATE TABLE empty_one (a int);
CREATE TABLE empty_two (a int);
CREATE UNLOGGED TABLE unlogged (id serial, s text);
INSERT INTO unlogged (s) VALUES ('kept');
CREATE TABLE dropped_columns (a int, gone text, b text, gone_too int, c int);
INSERT INTO dropped_columns VALUES (1, 'x', 'y', 2, 3);
ALTER TABLE dropped_columns DROP COLUMN gone, DROP COLUMN gone_too, ADD COLUMN late text DEFAULT 'later' NOT NULL;
INSERT INTO dropped_columns VALUES (4, 'z', 5, 'now');
CREATE TABLE typed OF types.pair (PRIMARY KEY (x));
INSERT INTO typed VALUES (1, 'one');
CREATE TABLE "Odd schema; -- '"."Table "" ; DROP TABLE every_value; --" ("SELECT" int, " leading" text, "UPPER" text, "ünï" text);
INSERT INTO "Odd schema; -- '"."Table "" ; DROP TABLE every_value; --" VALUES (1, ' ', 'U', 'ß');
ALTER TABLE "Odd schema; -- '"."Table "" ; DROP TABLE every_value; --" OWNER TO "every owner";
CREATE TABLE "Odd schema; -- '"."*.?[a-z]" (a int);
INSERT INTO "Odd schema; -- '"."*.?[a-z]" VALUES (1);
CREATE TABLE "-- 星 63 bytes 星星星星星星星星星星星星星星" ("星" text COMPRESSION pglz);
INSERT INTO "-- 星 63 bytes 星星星星星星星星星星星星星星" VALUES ('☆');
CREATE TABLE own_storage (a int) USING own_heap;
INSERT INTO own_storage VALUES (1);
ALTER TABLE own_storage SET (fillfactor = 70, autovacuum_enabled = off);
ALTER TABLE own_storage ALTER a SET STATISTICS 500, ALTER a SET (n_distinct = -0.5), REPLICA IDENTITY FULL;

-- Inheritance
CREATE TABLE parent (a int NOT NULL, b text, CONSTRAINT local CHECK (a <> 13) NO INHERIT);
CREATE TABLE child (c date) INHERITS (parent);
CREATE TABLE grandchild (a int DEFAULT 5, d int) INHERITS (child);
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (2, 'c', '2020-01-01');
INSERT INTO grandchild VALUES (3, 'g', NULL, 4);

-- Partitions: by range, list and hash, below one another, with a default, with columns in another order
CREATE TABLE measured (at timestamptz NOT NULL, kind text NOT NULL, value float8, PRIMARY KEY (at, kind)) PARTITION BY RANGE (at);
CREATE TABLE measured_2024 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
CREATE TABLE measured_2024_a PARTITION OF measured_2024 FOR VALUES IN ('a', 'b');
CREATE TABLE measured_2024_rest PARTITION OF measured_2024 DEFAULT PARTITION BY HASH (kind);
CREATE TABLE measured_2024_h0 PARTITION OF measured_2024_rest FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE measured_2024_h1 PARTITION OF measured_2024_rest FOR VALUES WITH (modulus 2, remainder 1);
CREATE TABLE measured_other PARTITION OF measured DEFAULT;
CREATE TABLE measured_2025 (value float8, gone int, kind text NOT NULL, at timestamptz NOT NULL);
ALTER TABLE measured_2025 DROP COLUMN gone;
ALTER TABLE measured ATTACH PARTITION measured_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX measured_value ON measured (value) INCLUDE (kind) WHERE value > 0;
COMMENT ON INDEX measured_value IS 'partial, covering';
INSERT INTO measured SELECT '2023-06-01'::timestamptz + n * interval '1 day', (ARRAY['a', 'b', 'c', 'd'])[1 + n % 4], n FROM generate_series(1, 900) n;

-- Constraints
CREATE TABLE chicken (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, chicken int REFERENCES chicken DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE chicken ADD CONSTRAINT lays FOREIGN KEY (egg) REFERENCES egg ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
COMMENT ON CONSTRAINT lays ON chicken IS 'a circle';
INSERT INTO chicken VALUES (1, 1); INSERT INTO egg VALUES (1, 1);
CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node ON UPDATE CASCADE);
INSERT INTO node VALUES (1, NULL), (2, 1), (3, 3);
CREATE TABLE checked (a int, b int, r int4range, UNIQUE NULLS NOT DISTINCT (a), EXCLUDE USING gist (r WITH &&));
INSERT INTO checked VALUES (1, -1, '[1,3)'), (2, -2, '[3,5)');
ALTER TABLE checked ADD CONSTRAINT not_yet CHECK (b > 0) NOT VALID;
ALTER TABLE checked ADD CONSTRAINT loose FOREIGN KEY (a) REFERENCES node NOT VALID;
CREATE UNIQUE INDEX expression ON checked (lower(a::text), types.double(b) DESC NULLS LAST);
ALTER TABLE checked CLUSTER ON expression;
CREATE INDEX own_class ON checked (a types.int_ops);

-- Views, rules, triggers, policies
CREATE VIEW seen WITH (security_barrier) AS SELECT id, a_text FROM every_value WHERE id > 100 WITH LOCAL CHECK OPTION;
COMMENT ON VIEW seen IS 'a view';
CREATE RECURSIVE VIEW counted (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counted WHERE n < 5;
CREATE MATERIALIZED VIEW "Odd schema; -- '".filled AS SELECT kind, count(*) FROM measured GROUP BY kind;
CREATE UNIQUE INDEX ON "Odd schema; -- '".filled (kind);
CREATE MATERIALIZED VIEW upon_filled AS SELECT sum(count) FROM "Odd schema; -- '".filled;
CREATE MATERIALIZED VIEW never_filled AS SELECT a FROM parent WITH NO DATA;
CREATE RULE no_delete AS ON DELETE TO parent DO INSTEAD NOTHING;
CREATE TRIGGER touch BEFORE UPDATE OF a_text ON every_value FOR EACH ROW WHEN (OLD.id > 0) EXECUTE FUNCTION types.on_change();
COMMENT ON TRIGGER touch ON every_value IS 'a trigger';
CREATE TRIGGER asleep BEFORE INSERT ON every_value FOR EACH ROW EXECUTE FUNCTION types.on_change();
ALTER TABLE every_value DISABLE TRIGGER asleep;
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION types.on_ddl();
COMMENT ON EVENT TRIGGER watch IS 'an event trigger';
CREATE TABLE secured (tenant text, s text);
INSERT INTO secured VALUES ('a', '1'), ('b', '2');
ALTER TABLE secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON secured AS RESTRICTIVE FOR SELECT TO every_reader USING (tenant = current_user);
CREATE POLICY rest ON secured USING (true) WITH CHECK (false);
COMMENT ON POLICY own ON secured IS 'a policy';

-- Statistics objects, publications, subscriptions, foreign data
CREATE STATISTICS related (dependencies, ndistinct, mcv) ON a, b FROM checked;
COMMENT ON STATISTICS related IS 'related';
CREATE STATISTICS of_expression ON (lower(kind)) FROM measured_other;
CREATE PUBLICATION some_rows FOR TABLE every_value (id, a_text), checked WHERE (a > 0) WITH (publish = 'insert');
CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA types;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE SUBSCRIPTION other CONNECTION 'host=127.0.0.1 dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE);
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (debug 'true');
CREATE SERVER far TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER nowhere OPTIONS (host 'h;--');
CREATE USER MAPPING FOR every_reader SERVER far OPTIONS (password 'secret''s');
CREATE FOREIGN TABLE abroad (a int OPTIONS (n 'x') NOT NULL, b text) SERVER far OPTIONS (t 'remote');
GRANT USAGE ON FOREIGN SERVER far TO every_reader;

-- Large objects: with an owner, grants and comments; one empty
SELECT lo_from_bytea(424242, decode(repeat('c0ffee0a5c2e0a', 20000), 'hex'));
ALTER LARGE OBJECT 424242 OWNER TO "every owner";
COMMENT ON LARGE OBJECT 424242 IS 'large';
GRANT SELECT ON LARGE OBJECT 424242 TO every_reader;
SELECT lo_create(424243);

-- Grants
GRANT SELECT, INSERT (a_text), UPDATE (a_text) ON every_value TO every_reader;
GRANT SELECT ON parent TO PUBLIC;
GRANT ALL ON dropped_columns TO "Every ""quoted"" Röle" WITH GRANT OPTION;
REVOKE ALL ON empty_one FROM postgres;
GRANT USAGE ON TYPE types.colour TO every_reader;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "every owner" GRANT SELECT ON TABLES TO every_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE "every owner" IN SCHEMA types REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA types GRANT USAGE ON SEQUENCES TO every_reader;
REFRESH MATERIALIZED VIEW upon_filled;
