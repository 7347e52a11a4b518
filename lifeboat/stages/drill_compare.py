"""Compare in a drill: what came back with what its index says, counted for the record, named for the page (P7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.loading import Loader
from lifeboat.model.drill_record import Comparison, CountedCode
from lifeboat.model.names import name_text
from lifeboat.model.policy_sources import RabbitMQSource
from lifeboat.model.tree_plan import Wanted
from lifeboat.stages.compare import Difference, compare_database
from lifeboat.stages.compare_roles import compare_roles
from lifeboat.stages.drill_export import drilled_definitions
from lifeboat.stages.drill_facts import Drilled, DrillOrder
from lifeboat.stages.restore_items import Item, ServerItem, TreeItem
from lifeboat.stages.verify_tree import verify_tree


def compare_item(item: Item, loader: Loader, jobs: int, failed: set[str], drilled: Drilled) -> None:
    """Note what of an item is not as its backup's index has it; ``failed`` are databases that did not come back, or
    ``files``. Raises what reading it raises."""
    if isinstance(item, ServerItem):
        _compare_databases(item, loader, jobs, failed, drilled)
    elif isinstance(item, TreeItem) and "files" not in failed:
        compare_files(item, jobs, drilled)


def _compare_databases(
    item: ServerItem, loader: Loader, jobs: int, failed: set[str], drilled: Drilled
) -> None:
    found: list[Difference] = []
    whole = [wanted for wanted in item.plan.databases if wanted.source.name not in failed]
    for wanted in whole:
        found += compare_database(
            item.plan.index, wanted.source, loader, item.server, wanted.target, jobs=jobs
        )
    if item.plan.with_roles and whole and not drilled.server_is_lent:
        found += compare_roles(item.plan.index, loader, item.server)
    drilled.comparisons.append(
        Comparison(
            backup_id=item.manifest.backup_id,
            databases=len(whole),
            tables=sum(len(wanted.tables) for wanted in whole),
            rows=sum(wanted.source.rows for wanted in whole),
            differences=_counted(found),
        )
    )
    drilled.differences += found


def compare_files(item: TreeItem, jobs: int, drilled: Drilled, wanted: Wanted = lambda _: True) -> None:
    """The same for files, all or those that are ``wanted``."""
    differences = verify_tree(item.index, item.target.tree(), wanted, jobs=jobs)
    sorts = {
        "file-missing": differences.missing,
        "file-different": differences.different,
        "file-additional": differences.additional,
    }
    drilled.comparisons.append(
        Comparison(
            backup_id=item.manifest.backup_id,
            files=differences.files,
            differences=tuple(
                CountedCode(code=code, count=paths.count) for code, paths in sorts.items() if paths.count
            ),
        )
    )
    drilled.differences += [
        Difference(code, f"{item.source}: {name_text(path)} {why}".rstrip())
        for code, paths in sorts.items()
        for path, why in paths.named
    ]


def _counted(found: Sequence[Difference]) -> tuple[CountedCode, ...]:
    counts = Counter(difference.code for difference in found)
    return tuple(CountedCode(code=code, count=count) for code, count in sorted(counts.items()))


def is_rabbitmq(order: DrillOrder, label: str) -> bool:
    service, source = label.split("/")
    return isinstance(
        order.policy.environment(order.environment).services[service].sources[source], RabbitMQSource
    )


def import_definitions(
    order: DrillOrder, item: TreeItem, loader: Loader, broker: Endpoint, drilled: Drilled
) -> None:
    """Into a broker and out again; what was compared as a file counts on."""
    with drilled_definitions(item.index, loader, broker, order.drill_id) as done:
        before = drilled.comparisons.pop()
        counted = Counter({each.code: each.count for each in before.differences})
        counted.update(difference.code for difference in done.differences)
        drilled.comparisons.append(
            before.model_copy(
                update={
                    "definitions": done.objects,
                    "differences": tuple(
                        CountedCode(code=code, count=count) for code, count in sorted(counted.items())
                    ),
                }
            )
        )
        drilled.differences += done.differences
