"""Which indexes, constraints and the like a database has, named as ``pg_restore --list`` names them."""

from __future__ import annotations

import re

from lifeboat.adapters.postgres import Session

_OBJECTS = """
SELECT 'INDEX ' || n.nspname || ' ' || c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('i', 'I')
UNION ALL SELECT 'INDEX ATTACH ' || n.nspname || ' ' || c.relname
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('i', 'I')
UNION ALL SELECT CASE o.contype WHEN 'f' THEN 'FK ' WHEN 'c' THEN 'CHECK ' ELSE '' END || 'CONSTRAINT '
        || n.nspname || ' ' || c.relname || ' ' || o.conname
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'TRIGGER ' || n.nspname || ' ' || c.relname || ' ' || o.tgname
    FROM pg_trigger o JOIN pg_class c ON c.oid = o.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT o.tgisinternal
UNION ALL SELECT 'RULE ' || n.nspname || ' ' || c.relname || ' ' || o.rulename
    FROM pg_rewrite o JOIN pg_class c ON c.oid = o.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'POLICY ' || n.nspname || ' ' || c.relname || ' ' || o.polname
    FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'STATISTICS ' || n.nspname || ' ' || o.stxname
    FROM pg_statistic_ext o JOIN pg_namespace n ON n.oid = o.stxnamespace
UNION ALL SELECT 'EVENT TRIGGER - ' || evtname FROM pg_event_trigger
UNION ALL SELECT 'PUBLICATION - ' || pubname FROM pg_publication
UNION ALL SELECT 'PUBLICATION TABLE ' || n.nspname || ' ' || p.pubname || ' ' || c.relname
    FROM pg_publication_rel o JOIN pg_publication p ON p.oid = o.prpubid
    JOIN pg_class c ON c.oid = o.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
"""


def objects_present(session: Session) -> frozenset[str]:
    """``INDEX schema name``, ``FK CONSTRAINT schema table name`` …, on one line each."""
    return frozenset(re.sub(r"[\r\n]", " ", str(row[0])) for row in session.execute(_OBJECTS).fetchall())
