"""A drill's verdicts as JUnit XML, which every CI system shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from lifeboat.model.drill_record import DrillRecord


def junit_of(record: DrillRecord) -> bytes:
    """A case for each objective, backup, probe and failure. A failure was missed, an error was not measured.

    A record that is not ``met`` is never green here: what no other case tells is the case ``verdict``.
    """
    cases: list[tuple[str, str, tuple[str, ...]]] = []
    for name, judged in (("RTO", record.rto), ("RPO", record.rpo)):
        if judged is not None:
            cases.append((name, judged.verdict, judged.reasons))
    for backup in record.backups:
        reasons = tuple(reason for reason in record.reasons if reason.startswith(backup.backup_id))
        different = any(each.differences for each in record.comparisons if each.backup_id == backup.backup_id)
        verdict = "missed" if different else "unmeasured" if reasons else "met"
        cases.append((backup.backup_id, verdict, reasons))
    if record.drill_kind == "partial" and not (record.rto and record.rto.extrapolated):
        cases.append(("whole environment", "unmeasured", ("only some of its sources were drilled",)))
    for probe in record.probes:
        name = f"probe {probe.service}/{probe.source} {probe.name}"
        cases.append((name, probe.verdict, () if probe.verdict == "met" else (f"{name}: {probe.verdict}",)))
    for failure in record.failures:
        cases.append((failure.code, "missed", (f"{failure.count} × {failure.code}",)))
    if record.verdict not in {verdict for _, verdict, _ in cases}:
        cases.append(("verdict", record.verdict, record.reasons))
    return _suite(record.environment, cases)


def junit_of_none(environment: str, why: str) -> bytes:
    """Of a drill that left no record: one error."""
    return _suite(environment, [("drill", "unmeasured", (why,))])


def _suite(environment: str, cases: Sequence[tuple[str, str, tuple[str, ...]]]) -> bytes:
    suite = ElementTree.Element("testsuite", name=f"drill of {environment}", tests=str(len(cases)))
    for name, verdict, reasons in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=environment, name=name)
        if verdict != "met":
            kind = "failure" if verdict == "missed" else "error"
            ElementTree.SubElement(case, kind, message="; ".join(reasons))
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text
