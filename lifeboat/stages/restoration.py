"""A whole restore, planned against store and target before anything is made or changed.

The same with Prefect and without: the tasks wrap these functions, ``lifeboat restore --direct`` calls them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from lifeboat.errors import RestoreRefused
from lifeboat.model.catalog import Catalog
from lifeboat.model.erasure_gate import refuse_missing_erasures
from lifeboat.model.index import Index
from lifeboat.model.manifest import Manifest, chain_name
from lifeboat.model.patterns import Selection
from lifeboat.model.restore_choice import Point, choose, newest_run
from lifeboat.model.restore_plan import plan_restore
from lifeboat.model.restore_target import target_notes, target_problems
from lifeboat.model.signed import TrustedKeys
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.catalog import StoreView, look
from lifeboat.stages.fetch import read_index, read_tree_index
from lifeboat.stages.restore_items import BrokerItem, Item, ServerItem, TreeItem
from lifeboat.stages.restore_order import RestoreOrder, RestorePlaces
from lifeboat.stages.target_server import look_at_target


def plan_restoration(order: RestoreOrder, places: RestorePlaces) -> list[Item]:
    """Everything that will be done, from verified manifests and indexes; nothing is made or changed yet.

    Raises ``RestoreRefused`` with every reason at once, the store's errors, and what reading an index raises.
    """
    labels = order.chosen
    with places.store.connect() as store:
        view = look(store, order.environment, places.trusted)
        point = _point(order, labels, view, places.trusted)
        items: list[Item] = []
        for label in labels:
            manifest = choose(catalog_of(label, view, places.trusted), point).manifest
            refuse_missing_erasures(manifest, places.erasures)
            if manifest.source_kind == "postgres":
                index = read_index(store, manifest, places.identities)
                items.append(_server_item(order, label, manifest, index, places))
            else:
                tree = read_tree_index(store, manifest, places.identities)
                items.append(_tree_item(order, label, manifest, tree, places))
    _refuse_same_target([each.target for item in items for each in item.described()])
    return items


def _point(order: RestoreOrder, labels: Sequence[str], view: StoreView, trusted: TrustedKeys) -> Point:
    """Several sources come from one run, unless somebody says otherwise: what belongs together was frozen together."""
    if len(labels) == 1 or order.newest_of_each or order.point != Point():
        return order.point
    return Point(run_id=newest_run([catalog_of(label, view, trusted) for label in labels]))


def catalog_of(label: str, view: StoreView, trusted: TrustedKeys) -> Catalog:
    """The catalog of a source that is told as ``service/source``."""
    service, _, source = label.partition("/")
    return view.catalog(chain_name(service, source), trusted)


def _server_item(
    order: RestoreOrder, label: str, manifest: Manifest, index: Index, places: RestorePlaces
) -> ServerItem:
    if places.server is None:
        raise RestoreRefused(
            f"{label} holds databases, and no server to restore into was given.",
            hint="Name a postgres-server block: --target, or `server` in the form.",
        )
    server = places.server(index.server_major)
    facts = look_at_target(server)
    # `postgres`, where everybody connects first, is on every server, mostly empty, and cannot be replaced from within.
    worthwhile = [
        database.name
        for database in index.databases
        if database.name != "postgres" or (database.tables and not order.replace)
    ]
    plan = plan_restore(
        manifest,
        index,
        databases=order.databases or worthwhile,
        tables=order.tables,
        new_name=order.new_name,
        with_roles=order.with_roles,
        owner=order.owner,
        present=facts.databases,
    )
    problems = target_problems(plan, facts, order.target_environment)
    if order.replace:
        problems += [
            f"{database.source.name!r} is to be replaced, and is not there"
            for database in plan.databases
            if database.source.name not in facts.databases
        ]
    if problems:
        raise RestoreRefused(
            f"{label} cannot be restored to {server.label}:\n"
            + "\n".join(f"  {problem}" for problem in problems),
            hint="Nothing was made or changed.",
        )
    return ServerItem(label, plan, server, order.replace, tuple(target_notes(plan, facts)))


def _tree_item(
    order: RestoreOrder, label: str, manifest: Manifest, index: TreeIndex, places: RestorePlaces
) -> TreeItem | BrokerItem:
    if label in places.brokers:
        return BrokerItem(label, manifest, index, places.brokers[label], order.into_used)
    if places.trees is None:
        raise RestoreRefused(
            f"{label} holds files, and no folder to restore into was given.",
            hint="Name a folder that does not exist yet: --to, or `folder` in the form.",
        )
    # Alone it gets the place itself; several share it, each with a folder of its own.
    target = places.trees("" if len(order.chosen) == 1 else label.replace("/", "-"))
    selection = Selection(include=order.paths or ("**",))
    return TreeItem(label, manifest, index, target, selection, places.trees_are_live)


def _refuse_same_target(targets: Sequence[str]) -> None:
    twice = sorted({target for target in targets if targets.count(target) > 1})
    if twice:
        raise RestoreRefused(
            f"Two objects would become {twice[0]!r}.",
            hint="Restore their sources one after the other, with names.",
        )
