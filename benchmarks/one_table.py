"""One table out of a large backup: as long as the table takes, not as the backup does.

``python -m benchmarks.one_table``; of the table nearest to ``--size`` it prints what bringing it back took, from
nothing but the store and one identity, and how much was fetched. A table of 10 MB is put beside the company's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.drills import on, stored_company
from benchmarks.sailor import ENVIRONMENT, RESTORE_JOBS, SERVICE, SOURCE, TIME_LIMIT, Orders
from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.model.restore_choice import choose
from lifeboat.model.restore_plan import plan_restore
from lifeboat.stages import restore
from lifeboat.stages.fetch import fetch_index, read_catalog
from lifeboat.stages.target_server import look_at_target

_WANTED: Final = """
CREATE TABLE public.wanted AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 250000) i;
ALTER TABLE public.wanted ADD PRIMARY KEY (id)
"""


def bring_one_back(orders: Orders, size: int) -> str:
    """Catalogue to the named database with one table in it; in words."""
    watch = clock.Stopwatch()
    catalog = read_catalog(orders.target, ENVIRONMENT, f"{SERVICE}-{SOURCE}", orders.trusted)
    manifest = choose(catalog).manifest
    index = fetch_index(orders.target, manifest, [orders.identity])
    database, table = min(
        ((database, table) for database in index.databases for table in database.tables),
        key=lambda found: abs(found[1].length - size),
    )
    plan = plan_restore(
        manifest,
        index,
        databases=(database.name,),
        tables=(table.label,),
        present=look_at_target(orders.server).databases,
    )
    with Crew() as crew:
        deadline = clock.Deadline.after(TIME_LIMIT)
        loader = Loader(store=orders.target, identities=(orders.identity,), crew=crew, deadline=deadline)
        (wanted,) = plan.databases
        done = restore.restore_database(plan, wanted, loader, orders.server, jobs=RESTORE_JOBS)
    fetched = sum(index.part(number).size for number in wanted.fetched_parts)
    return (
        f"{table.length / 1e6:.1f} MB, {done.rows:,} rows of {table.label}: {watch.seconds():.1f} s, "
        f"{fetched / 1e6:.1f} MB fetched"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_table", description=__doc__)
    parser.add_argument("--major", type=int, default=15, help="PostgreSQL's major version")
    parser.add_argument("--scale", type=float, default=1.4, help="1 is about 1.2 GB of COPY text")
    parser.add_argument("--size", type=float, default=10e6, help="bytes of COPY text of the table")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lifeboat-one-table-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        with stored_company(folder, chosen.major, chosen.scale, more=_WANTED) as orders:
            for _ in range(chosen.rounds):
                with Cluster(folder / "target", chosen.major) as target:
                    print(bring_one_back(on(target, orders), round(chosen.size)), flush=True)


if __name__ == "__main__":
    main()
