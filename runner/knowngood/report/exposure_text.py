"""What `exposure` says, as text and as JSON values."""

from __future__ import annotations

from knowngood.model.jsonable import to_json
from knowngood.model.text import Page, page
from knowngood.model.values import Object
from knowngood.planner.rules.exposure import Cause, Exposure, Hit, Since
from knowngood.report.check_text import finding_json

NOTHING = "none"


def exposure_text(exposure: Exposure, today: str, *, every: bool) -> Page:
    """One block a cluster; risks that mean nothing for a GPU cluster are counted unless `every`."""
    shown = [h for h in exposure.hits if every or h.gpu != NOTHING]
    lines = [f"{exposure.name} on {today}: " + (_count(len(exposure.hits)) or "nothing known hits it")]
    for hit in shown:
        lines += _hit(hit)
    hidden = len(exposure.hits) - len(shown)
    if hidden:
        lines.append(f"  and {hidden} that mean nothing for a bare-metal GPU cluster (--all shows them)")
    if exposure.unknown:
        lines.append("  can't be told")
        lines += [f"    {f.sentence()}" for f in exposure.unknown]
    return page(lines)


def exposure_json(exposure: Exposure, today: str) -> Object:
    """The same as values; all hits."""
    return {
        "name": exposure.name,
        "asOf": today,
        "versions": dict(exposure.versions),
        "hits": [
            {
                "component": h.component,
                "version": h.version,
                "cause": h.cause.value,
                "name": h.name,
                "what": h.what,
                "gpu": h.gpu,
                "always": h.always,
                "onlyFrom": h.only_from,
                "known": h.known or None,
                "sourceDay": h.source_day or None,
                "runs": to_json(h.since) | {"day": h.since.day or None},
                "days": h.days,
                "blindDays": h.blind,
                "awareDays": h.aware,
                "offeredDays": dict(h.offered),
                "fixedIn": list(h.fixed_in),
            }
            for h in exposure.hits
        ],
        "unknown": [finding_json(f) for f in exposure.unknown],
    }


def _count(hits: int) -> str:
    if not hits:
        return ""
    return "1 hit" if hits == 1 else f"{hits} hits"


def _hit(hit: Hit) -> list[str]:
    subject = f"{hit.component} {hit.version}" if hit.component else f"release {hit.name}"
    kind = {Cause.RISK: f"risk {hit.name}", Cause.RULE: f"rule {hit.name}", Cause.REVOKED: "revoked"}[
        hit.cause
    ]
    weight = f", for GPUs {hit.gpu}" if hit.gpu else ""
    lines = [f"  {subject}: {kind}{weight}: {hit.what}", f"    {_window(hit)}"]
    if hit.offered:
        offered = ", ".join(f"{kind} {days} days" for kind, days in hit.offered.items())
        lines.append(f"    offered before it was known: {offered}")
    if hit.only_from:
        lines.append(f"    met by who came from {hit.only_from}")
    if hit.fixed_in:
        lines.append(f"    fixed in {', '.join(hit.fixed_in)}")
    return lines


def _window(hit: Hit) -> str:
    known = f"known since {hit.known or 'an unknown day'}"
    if hit.source_day:
        here = "in this matrix; " if hit.known else ""
        known += f" ({here}our source is of {hit.source_day})"
    parts = [_since(hit.since), known]
    if hit.days is not None and hit.blind is not None:
        parts.append(f"exposed {hit.days} days: {hit.blind} before it was known, {hit.aware} since")
    elif hit.days is not None:
        parts.append(f"exposed {hit.days} days")
    return "; ".join(parts)


def _since(since: Since) -> str:
    if not since.day:
        return "runs since an unknown day"
    return f"runs since {since.day}{' or before' if since.at_least else ''} ({since.how})"
