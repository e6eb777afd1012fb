"""Groups open alerts by kind and language: 200 overdue appeals are one line."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from callcenter.platform.core.registry import offers
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import SEVERITY_ORDER
from callcenter.wallboard.rules import AlertGroup

PASSING_SHOWN = 600  # seconds for which is shown what nobody has to acknowledge
SUBJECTS_SHOWN = 5


def group_alerts(
    newest: Iterable[str], opened: Mapping[str, str], taken: Mapping[str, str], now: float
) -> list[AlertGroup]:
    """Group the open alerts with their takers, and the newest that pass; gravest first.

    `opened` and `taken` are by the id of the alert.

    Those that a version before raised pass too: it kept none but critical ones open.
    """
    kinds = {kind.key: kind for kind in offers(AlertKind)}
    found: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    takers: dict[tuple[str, str], set[str]] = {}
    for alert_id, alert in opened.items():
        fields = json.loads(alert)
        same = found.setdefault((fields["kind"], fields["language"]), [])
        same.append((float(fields["at"]), float(fields.get("added", fields["at"])), alert_id))
        takers.setdefault((fields["kind"], fields["language"]), set()).add(
            _taker(taken.get(alert_id), float(fields["at"]))
        )
    opened_keys = set(found)
    for alert in newest:
        fields = json.loads(alert)
        key, at = (fields["kind"], fields["language"]), float(fields["at"])
        if key not in opened_keys and now - at <= PASSING_SHOWN:
            found.setdefault(key, []).append((at, at, ""))
    groups = [
        _group(kinds.get(key), key, language, same, takers.get((key, language), set()))
        for (key, language), same in found.items()
    ]
    return sorted(groups, key=lambda each: (SEVERITY_ORDER[each.severity], -each.at))


def _taker(taken: str | None, at: float) -> str:
    """The person who sees to the alert that was raised then; empty: nobody so far."""
    noted = json.loads(taken) if taken else {}
    return str(noted["by"]) if noted.get("at") == at else ""


def _group(
    kind: AlertKind | None,
    key: str,
    language: str,
    alerts: Sequence[tuple[float, float, str]],
    takers: Collection[str],
) -> AlertGroup:
    offered = kind or AlertKind(key, "")  # another version raised it: no room of this one offers it
    opened = {alert_id: at for at, _, alert_id in alerts if alert_id}
    subjects = {each.partition(":")[2] for each in opened} if offered.has_subject else set()
    return AlertGroup(
        id=f"{key}:{language}" if opened else "",
        kind=key,
        language=language,
        severity=offered.severity,
        owner=offered.owner,
        path=offered.path,
        count=len(alerts),
        at=max(added for _, added, _ in alerts),
        since=min(at for at, _, _ in alerts),
        label=offered.label,
        subjects=sorted(subjects)[:SUBJECTS_SHOWN],
        is_subject_public=offered.is_subject_public,
        alerts=opened,
        added={alert_id: added for _, added, alert_id in alerts if alert_id},
        taken_by=sorted(filter(None, takers)),
        is_taken=bool(takers) and "" not in takers,
    )
