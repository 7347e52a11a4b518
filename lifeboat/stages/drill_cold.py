"""Cold drill: from the copy, an identity and ``recovery/`` alone, by standard tools in an empty environment (P7, P20).

Ours are only what copies the objects, for the NAS is no part of the question, and what compares afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.recovery_script import BareMachine
from lifeboat.adapters.store import Store
from lifeboat.adapters.target_local import LocalRestoreTarget
from lifeboat.errors import CouldNotMeasure
from lifeboat.model.manifest import Manifest, parse_manifest_name
from lifeboat.model.prune_record import parse_record_name
from lifeboat.model.restore_outcome import RestoreOutcome
from lifeboat.stages.restore_items import BrokerItem, Item, ServerItem, TreeItem, attempted
from lifeboat.stages.restore_order import RestorePlaces


@contextmanager
def bare_machine(
    folder: Path, manifest: Manifest, places: RestorePlaces, loader: Loader
) -> Iterator[BareMachine]:
    """A bare machine in ``folder``, with a copy of what the backup needs; gone at the end.

    Raises the ``StoreError`` family.
    """
    with TemporaryDirectory(dir=folder, prefix="cold-") as home:
        machine = BareMachine(
            Path(home), manifest.environment, places.trusted.pems(), places.identities, loader.deadline
        )
        with places.store.connect() as store:
            for name in _wanted(store, manifest):
                with (machine.store / name).open("xb") as copy:
                    for chunk in store.read(name):
                        copy.write(chunk)
        yield machine


def restore_cold(item: Item, machine: BareMachine) -> list[RestoreOutcome]:
    """What ``item.carry_out`` does, by the script; an object that fails does not stop the others."""
    backup_id = item.manifest.backup_id
    match item:
        case ServerItem():
            where = _variables(item.server, item.plan.index.server_major)
            machine.run("roles", backup_id, item.source, server=where)
            return [
                _attempted(
                    item.source,
                    wanted.source.name,
                    wanted.target,
                    lambda name=wanted.source.name, target=wanted.target: machine.run(  # type: ignore[misc]
                        "database", backup_id, item.source, name, target, server=where
                    ),
                )
                for wanted in item.plan.databases
            ]
        case TreeItem(target=LocalRestoreTarget() as target):
            folder = str(target.folder)
            return [
                _attempted(
                    item.source, "files", folder, lambda: machine.run("tree", backup_id, item.source, folder)
                )
            ]
        case TreeItem() | BrokerItem():
            raise CouldNotMeasure(
                f"{item.source}: recovery/restore.sh restores into folders of this host only."
            )


def _attempted(source: str, what: str, target: str, work: Callable[[], None]) -> RestoreOutcome:
    def done() -> RestoreOutcome:
        work()
        return RestoreOutcome(source=source, what=what, target=target, state="restored")

    return attempted(source, what, target, done)


def _wanted(store: Store, manifest: Manifest) -> Iterator[str]:
    """The chain with its prune records, by which the script knows that nothing is missing, and the backup's objects."""
    for stat in store.list():
        place = parse_manifest_name(stat.name)
        if (place and place[0] == manifest.chain) or parse_record_name(stat.name) is not None:
            yield stat.name
    yield from (stored.name for stored in manifest.needed)


def _variables(server: PostgresServer, major: int) -> dict[str, str]:
    told = server.environment()
    kept = {name: value for name, value in told.items() if name.startswith("PG") and name != "PGOPTIONS"}
    return kept | {"PROGRAMS": str(Path(server.program("psql", major)).parent)}
