"""The runbook of an environment: what a person needs on the day when neither Lifeboat nor its policy file is at hand.

Markdown, one page per service and one over all: where the copies lie, who holds which key, whom to call, and the
commands of ``recovery/restore.sh`` with the real names (clauses P12, P13, P20; design §5).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from lifeboat.model.manifest import Manifest, chain_name
from lifeboat.model.outcome import holdings, human_bytes
from lifeboat.model.policy import Policy
from lifeboat.model.policy_environment import Environment, RecipientRule, Service
from lifeboat.model.policy_values import format_duration, spoken_duration
from lifeboat.model.recovery_point import holds_still
from lifeboat.model.runbook_steps import preparation, provider_copies, restore_steps, source_place
from lifeboat.model.runbook_text import StorePlace, cell, code, fence, fingerprint, table

UNKNOWN = "not known when this was printed"


@dataclass(frozen=True)
class BackupFacts:
    """The newest good backup of a source. ``restore_seconds``: how long its last restore took, if one was measured."""

    manifest: Manifest
    restore_seconds: float | None = None

    @property
    def fetch_bytes(self) -> int:
        return sum(stored.size for stored in self.manifest.needed)


@dataclass(frozen=True)
class RunbookFacts:
    """What is true on the day of printing (``printed``, aware) and stands in no policy.

    ``signing_keys`` are PEM texts by key id; ``backups`` are by chain. With ``offline`` nothing but the policy was
    looked at, and every page says so.
    """

    printed: dt.datetime
    offline: bool
    store: StorePlace | None = None
    signing_keys: Mapping[str, str] = field(default_factory=dict)
    recipients: tuple[str, ...] = ()
    """The age recipients of the block, in its order."""
    backups: Mapping[str, BackupFacts] = field(default_factory=dict)


def runbook(policy: Policy, environment: Environment, facts: RunbookFacts) -> dict[str, str]:
    """Pages in Markdown by name: ``overview``, then each service in the order in which they are restored."""
    pages = {"overview": _overview(policy, environment, facts)}
    for name in restore_order(environment):
        pages[name] = _service_page(policy, environment, name, facts)
    return pages


def restore_order(environment: Environment) -> tuple[str, ...]:
    """Services by the highest availability that one of their sources needs (P2); equals as the policy has them."""
    levels = ("very-high", "high", "normal", "low")

    def rank(name: str) -> int:
        sources = environment.services[name].sources.values()
        return min(levels.index(source.classification.availability) for source in sources)

    return tuple(sorted(environment.services, key=rank))


def _overview(policy: Policy, environment: Environment, facts: RunbookFacts) -> str:
    order = [
        f"{number}. **{name}**: {', '.join(environment.services[name].sources)}"
        for number, name in enumerate(restore_order(environment), 1)
    ]
    return _page(
        f"# Recovery runbook: {environment.name}",
        _status(policy, facts),
        "## Call first",
        _contacts(policy),
        "## Objectives",
        _objectives(policy, environment),
        "## Order",
        "The services that must be there first come first (their availability in the policy, P2). A page for each:",
        "\n".join(order),
        "## Where the copies lie",
        _places(environment, facts),
        "## Who opens them",
        _holders(environment, facts),
        "## Whose signature counts",
        _signing_keys(environment, facts),
        "## What there was when this was printed",
        _backups(environment, tuple(environment.services), facts),
        "Fewer backups, or a newest one with a lower place than here, mean that something was taken away: call the "
        "security contact, and look for a second copy.",
    )


def _service_page(policy: Policy, environment: Environment, name: str, facts: RunbookFacts) -> str:
    service = environment.services[name]
    return _page(
        f"# {environment.name}: restore {name}",
        _status(policy, facts),
        _objectives(policy, environment),
        "## Call first",
        _contacts(policy),
        "## What there is",
        _backups(environment, (name,), facts),
        _one_moment(service),
        "## 1. Prepare, once",
        preparation(environment.name, facts.store, _newest_major(facts)),
        f"The identity comes from one of: {', '.join(_holder(rule) for rule in environment.recipients)}.",
        "## 2. Restore",
        restore_steps(environment.name, name, service, facts.store),
        "## 3. Check, then release",
        _checks(service),
        "## If the store is lost",
        provider_copies(service),
        "## Times",
        _times(name, service, facts),
    )


def _page(*pieces: str) -> str:
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _status(policy: Policy, facts: RunbookFacts) -> str:
    printed = (
        f"Printed {facts.printed:%Y-%m-%d %H:%M} UTC from policy {code(policy.name)} {cell(policy.version)} of "
        f"{policy.date}, SHA-256 {code(policy.sha256[:16])}."
    )
    if facts.offline:
        printed += (
            " **Printed from the policy alone:** accounts, keys and sizes are missing. Print it again where the "
            "Prefect API and the store answer."
        )
    return printed


def _contacts(policy: Policy) -> str:
    rows = [(person.name, person.role, person.phone, person.email or "") for person in policy.contacts]
    return table(("who", "for what", "telephone", "mail"), [tuple(map(cell, row)) for row in rows])


def _objectives(policy: Policy, environment: Environment) -> str:
    objectives = policy.objectives_of(environment)
    hours = policy.working_hours
    days = f"{hours.days[0]} to {hours.days[-1]}" if len(hours.days) > 1 else hours.days[0]
    return (
        f"Back within **{spoken_duration(objectives.rto)}** of working time from detection (P12: {days}, "
        f"{hours.from_:%H:%M} to {hours.until:%H:%M} {policy.time_zone}); at most "
        f"**{spoken_duration(objectives.rpo)}** of data lost (P13)."
    )


def _places(environment: Environment, facts: RunbookFacts) -> str:
    store = facts.store
    if store is None:
        own = f"- Own copies: store of kind {code(environment.store.kind)}; host, folder and account: {UNKNOWN}."
    else:
        own = f"- Own copies: {store.described}."
    return "\n".join([own, *(f"- {line}" for line in _provider_places(environment))])


def _provider_places(environment: Environment) -> list[str]:
    lines = []
    for name, service in environment.services.items():
        for source_name, source in service.sources.items():
            if rules := source.provider_backup:
                monthly = (
                    f", that of the {rules.monthly.anchor} {rules.monthly.keep} months"
                    if rules.monthly
                    else ""
                )
                second = ", and in a second region" if rules.geo_redundant else ""
                lines.append(
                    f"The provider's own copies of {name}/{source_name}: {cell(rules.region)}{second}, "
                    f"{format_duration(rules.daily)}{monthly}; how to get them stands on the page of {name}."
                )
    return lines


def _holders(environment: Environment, facts: RunbookFacts) -> str:
    rows = [
        (code(rule.name), cell(rule.holder), code(fingerprint(rule.key)) if rule.key else "in the block")
        for rule in environment.recipients
    ]
    holders = table(("identity", "held by", "fingerprint"), rows)
    known = ", ".join(code(fingerprint(key)) for key in facts.recipients) or UNKNOWN
    return (
        f"Any one of these identities opens every backup of this environment; without all of them, nobody does.\n\n"
        f"{holders}\n\nFingerprints of all recipients in force: {known}. The fingerprint of an identity at hand:\n\n"
        + fence('printf %s "$(age-keygen -y IDENTITY_FILE)" | sha256sum | cut -c 1-16')
    )


def _signing_keys(environment: Environment, facts: RunbookFacts) -> str:
    if not facts.signing_keys:
        block = code(environment.name)
        return f"The public signing keys: {UNKNOWN}. They are in the signing-public-keys block {block}."
    pems = "".join(f"{pem.strip()}\n" for pem in facts.signing_keys.values())
    file = code(f"{environment.name}.signing.pem")
    return (
        f"Keys {', '.join(map(code, facts.signing_keys))}; the file {file} beside this page holds the same text:\n\n"
        + fence(pems, "")
    )


def _backups(environment: Environment, services: tuple[str, ...], facts: RunbookFacts) -> str:
    rows = []
    for name in services:
        for source_name, source in environment.services[name].sources.items():
            backup = facts.backups.get(chain_name(name, source_name))
            rows.append((f"{name}/{source_name}", source_place(source), *_figures(backup, facts)))
    columns = ("source", "what", "newest good backup", "data of (UTC)", "to fetch", "unpacked", "holds")
    return table(columns, rows)


def _figures(backup: BackupFacts | None, facts: RunbookFacts) -> tuple[str, ...]:
    if backup is None:
        return (UNKNOWN if facts.offline else "**none**", "–", "–", "–", "–")
    manifest = backup.manifest
    return (
        f"{code(manifest.backup_id)}, place {manifest.sequence}",
        f"{manifest.data_timestamp.astimezone(dt.UTC):%Y-%m-%d %H:%M}",
        human_bytes(backup.fetch_bytes),
        human_bytes(manifest.totals.plain_bytes),
        holdings(manifest.totals),
    )


def _one_moment(service: Service) -> str:
    together = [name for name, source in service.sources.items() if holds_still(source)]
    if service.recovery_point == "source" or len(together) < 2:
        return ""
    return (
        f"{' and '.join(together)} were frozen as one recovery point: restore backups of the same run, whose times "
        "differ by seconds. `sh restore.sh list` shows the times; `-b ID` chooses."
    )


def _newest_major(facts: RunbookFacts) -> str:
    versions = [backup.manifest.tools.get("postgresql", "") for backup in facts.backups.values()]
    majors = [int(version.split(".")[0]) for version in versions if version.split(".")[0].isdigit()]
    return str(max(majors)) if majors else ""


def _checks(service: Service) -> str:
    kinds = {source.kind for source in service.sources.values()}
    checks = [
        "The script compared every SHA-256 and row count itself, and ended without `error:`. It said what it left out."
    ]
    if "postgres" in kinds:
        checks.append(
            "Roles that were created have no password: issue new ones, and give them to the applications."
        )
        checks.append(
            "Rename the databases to the live names only after a look at the newest business records."
        )
    if kinds - {"postgres"}:
        checks.append("Open some files that people know, and compare the number of files with *holds* above.")
    checks += [
        "Whoever was erased after the time of this data must be erased again before anybody works with it.",
        "Sign in to the application; then the Head of IT, or who declared the incident, releases the service.",
    ]
    return "\n".join(f"- [ ] {check}" for check in checks)


def _times(name: str, service: Service, facts: RunbookFacts) -> str:
    rows = []
    for source_name in service.sources:
        backup = facts.backups.get(chain_name(name, source_name))
        fetch = f"{human_bytes(backup.fetch_bytes)}: {_transfer(backup.fetch_bytes)}" if backup else UNKNOWN
        measured = (
            spoken_duration(dt.timedelta(seconds=round(backup.restore_seconds)))
            if backup and backup.restore_seconds is not None
            else "never measured"
        )
        rows.append((source_name, fetch, measured, "", ""))
    return table(("source", "to fetch at 50 MB/s", "last restore took", "begun at", "done at"), rows)


def _transfer(size: int) -> str:
    return spoken_duration(dt.timedelta(seconds=max(1, size // 50_000_000)))


def _holder(rule: RecipientRule) -> str:
    return f"{cell(rule.holder)} ({code(rule.name)})"
