"""One page per drill that a manager can read in a minute and print. It holds names, so it never lies on the store.

One file that needs nothing else, no script. Rendered by jinja2, which escapes what it is given.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment

from lifeboat.model.drill_picture import Dot, phases_picture, trend_picture
from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.objectives import Judgement, Verdict
from lifeboat.model.restore_estimate import spoken_time

SHOWN: Final = 200
"""Differences that the page lists; all are counted."""
TREND: Final = 40
"""Drills in a trend."""

_HEADLINES: Final = {
    Verdict.MET: "The backups of {name} bring it back, in time.",
    Verdict.MISSED: "The backups of {name} did not bring it back as promised.",
    Verdict.UNMEASURED: "Whether the backups of {name} bring it back in time is not known.",
}


@dataclass(frozen=True)
class DrillPage:
    """What the page is made of. ``differences`` and ``explanations`` hold names; ``past`` are verified records of the
    same environment, oldest first."""

    record: DrillRecord
    differences: Sequence[str]
    explanations: Sequence[str]
    past: Sequence[DrillRecord] = ()

    def html(self) -> str:
        record = self.record
        trend = [*(each for each in self.past if each.drill_id != record.drill_id), record][-TREND:]
        return _TEMPLATE.render(
            record=record,
            headline=_HEADLINES[record.verdict].format(name=record.environment),
            summary=_summary(record),
            phases=phases_picture(record.phases),
            trends=[picture for picture in _trends(trend) if picture],
            backups=[_backup_row(record, backup.backup_id) for backup in record.backups],
            told=[*self.explanations, *self.differences[:SHOWN]],
            untold=max(len(self.differences) - SHOWN, 0),
            style=_STYLE,
        )


def _summary(record: DrillRecord) -> list[tuple[str, str, str, Verdict]]:
    """Rows: what it is about, allowed, achieved, verdict."""
    rows = []
    if record.rto:
        rto = record.rto
        label = "Back in service after (extrapolated)" if rto.extrapolated else "Back in service after"
        achieved = f"{_time(rto.working_milliseconds)} of working time"
        rows.append((label, _time(rto.objective_milliseconds), achieved, rto.verdict))
    if record.rpo:
        rpo = record.rpo
        worst = f", at worst of 30 days {_time(rpo.worst.milliseconds)}" if rpo.worst else ""
        achieved = f"{_time(rpo.achieved_milliseconds)}{worst}"
        rows.append(("Data lost", _time(rpo.objective_milliseconds), achieved, rpo.verdict))
    return rows


def _trends(records: Sequence[DrillRecord]) -> list[str]:
    """RTO and RPO of the drills that measured them, against the objective of the newest."""
    pictures = []
    for name in ("RTO", "RPO"):
        judged: list[tuple[dt.datetime, Judgement]] = [
            (record.started_at, found) for record in records if (found := getattr(record, name.lower()))
        ]
        dots = [Dot(f"{at:%Y-%m-%d}", found.decisive_milliseconds(), found.verdict) for at, found in judged]
        if judged:
            pictures.append(trend_picture(name, dots, judged[-1][1].objective_milliseconds))
    return pictures


def _backup_row(record: DrillRecord, backup_id: str) -> dict[str, object]:
    backup = next(each for each in record.backups if each.backup_id == backup_id)
    found = next((each for each in record.comparisons if each.backup_id == backup_id), None)
    return {
        "source": f"{backup.service}/{backup.source}",
        "id": backup_id,
        "choice": backup.choice.replace("-", " "),
        "data": f"{backup.data_timestamp:%Y-%m-%d %H:%M}",
        "took": spoken_time(backup.milliseconds),
        "compared": found.told if found else "nothing",
        "differences": ", ".join(f"{one.count} × {one.code}" for one in found.differences) if found else "",
    }


def _time(milliseconds: int | None) -> str:
    return "not measured" if milliseconds is None else spoken_time(milliseconds)


_STYLE: Final = """
@page { size: A4; margin: 14mm; }
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #68707a; --line: #d5dae0; --paper: #fff; --soft: #f4f6f8;
  --met: #1a7f4b; --missed: #c2272d; --unmeasured: #b26a00; --bar: #2f6fb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --faint: #9aa4af; --line: #39414a; --paper: #15191e;
  --soft: #1e242b; --met: #4cc38a; --missed: #ff7b72; --unmeasured: #f0b429; --bar: #6cb1ff; } }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper);
  max-width: 780px; margin: 2em auto; padding: 0 1em; }
header { border-left: 8px solid var(--verdict); padding: .1em 0 .1em 1em; }
.met { --verdict: var(--met); } .missed { --verdict: var(--missed); } .unmeasured { --verdict: var(--unmeasured); }
h1 { font-size: 1.5em; line-height: 1.25; margin: 0; }
h2 { font-size: 1.05em; margin: 2em 0 .5em; break-after: avoid; }
.verdict { color: var(--verdict); font-weight: 700; text-transform: uppercase; letter-spacing: .04em; }
.faint, small { color: var(--faint); }
table { border-collapse: collapse; width: 100%; font-size: .92em; }
th, td { text-align: left; padding: .35em .8em .35em 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--faint); }
code { font: .88em "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .8em 1em; border-radius: 6px; white-space: pre-wrap; break-inside: avoid; }
.key span { display: inline-block; width: 1em; height: .8em; border-radius: 2px; margin: 0 .4em 0 1em; }
svg { width: 100%; height: auto; font-size: 12px; break-inside: avoid; }
svg text { fill: var(--ink); } svg text.faint { fill: var(--faint); }
svg .measured, .key .measured { fill: var(--bar); background: var(--bar); }
svg .extrapolated { fill: var(--bar); opacity: .55; } .key .extrapolated { background: var(--bar); opacity: .55; }
svg .allowance { fill: url(#declared); stroke: var(--faint); }
.key .allowance { border: 1px solid var(--faint); background: repeating-linear-gradient(45deg, transparent 0 3px,
  var(--faint) 3px 4px); }
svg .hatch { stroke: var(--faint); stroke-width: 2; } svg .axis { stroke: var(--line); }
svg .objective { stroke: var(--faint); stroke-dasharray: 5 4; }
svg .trend { fill: none; stroke: var(--bar); stroke-width: 1.5; }
svg circle.met { fill: var(--met); } svg circle.missed { fill: var(--missed); }
svg circle.unmeasured { fill: var(--unmeasured); }
tr, li { break-inside: avoid; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } }
"""

_TEMPLATE: Final = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drill of {{ record.environment }}, {{ record.started_at.strftime("%Y-%m-%d") }}: {{ record.verdict }}</title>
<style>{{ style|safe }}</style>
</head>
<body class="{{ record.verdict }}">
<header>
<div class="faint">Restore drill of {{ record.environment }} &middot;
{{ record.started_at.strftime("%Y-%m-%d %H:%M") }} UTC &middot; <span class="verdict">{{ record.verdict }}</span></div>
<h1>{{ headline }}</h1>
</header>
{% if record.reasons %}
<h2>Why</h2>
<ul>
{% for reason in record.reasons %}<li>{{ reason }}</li>
{% endfor %}
</ul>
{% endif %}
{% if summary %}
<h2>What was promised, and what was achieved</h2>
<table>
<tr><th></th><th>allowed</th><th>achieved</th><th></th></tr>
{% for name, allowed, achieved, verdict in summary %}
<tr><td>{{ name }}</td><td>{{ allowed }}</td><td>{{ achieved }}</td><td class="{{ verdict }}"><span class="verdict">\
{{ verdict }}</span></td></tr>
{% endfor %}
</table>
{% if record.rto %}{% for note in record.rto.notes %}<small>{{ note }}</small><br>{% endfor %}{% endif %}
{% endif %}
<h2>From the failure to the service</h2>
{{ phases|safe }}
<p class="key faint"><span class="measured"></span>measured<span class="allowance"></span>declared by the policy\
<span class="extrapolated"></span>extrapolated, upper bound</p>
{% if trends %}
<h2>Drills so far</h2>
{% for picture in trends %}{{ picture|safe }}
{% endfor %}
{% endif %}
<h2>What was restored and compared</h2>
<table>
<tr><th>source</th><th>data of (UTC)</th><th>which</th><th>took</th><th>compared</th><th>differs</th></tr>
{% for backup in backups %}
<tr><td>{{ backup.source }}<br><code class="faint">{{ backup.id }}</code></td><td>{{ backup.data }}</td>\
<td>{{ backup.choice }}</td><td>{{ backup.took }}</td>\
<td>{{ backup.compared }}</td><td>{{ backup.differences or "nothing" }}</td></tr>
{% endfor %}
</table>
{% if told %}
<h2>In detail</h2>
<ul>
{% for text in told %}<li>{{ text }}</li>
{% endfor %}
{% if untold %}<li>and {{ untold }} more differences</li>{% endif %}
</ul>
{% endif %}
<h2>Evidence</h2>
<p>The signed record <code>{{ record.file_name }}</code> lies with the backups. It holds no names. Anybody
with the public signing key can check it:</p>
<pre><code>jq -cSj .statement {{ record.file_name }} &gt; statement
jq -r .signature {{ record.file_name }} | base64 -d &gt; signature
openssl pkeyutl -verify -pubin -inkey signing.pem -rawin -in statement -sigfile signature</code></pre>
<p class="faint">Policy {{ record.policy.name }} {{ record.policy.version }}
(<code>{{ record.policy.sha256[:16] }}…</code>). Restored into a {{ record.sandbox.kind }},
{% if record.sandbox.postgresql %}PostgreSQL {{ record.sandbox.postgresql }}, {% endif %}
{% for name, value in record.sandbox.settings|dictsort %}{{ name }}={{ value }}, {% endfor %}\
{% if record.sandbox.destroyed_at %}destroyed {{ record.sandbox.destroyed_at.strftime("%Y-%m-%d %H:%M:%S") }} UTC\
{% else %}<strong>which may still be there</strong>{% endif %}.
{% for name, value in record.tools|dictsort %}{{ name }} {{ value }}{% if not loop.last %}, {% endif %}{% endfor %}.</p>
</body>
</html>
""")
