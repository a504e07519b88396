"""Has the study come to rest? A pure decision on evidence, and the loop body of the timer that asks for it.

Good evidence: the study is closed ``quiet_s`` after the last image. Bad evidence (an association broken off, a gap
between slices, fewer images than announced): it is given ``incomplete_hold_s`` for more. Then a series whose reception
broke off is marked incomplete and will not be analysed; any other goes on with its evidence, and its own geometry
decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicom_node.jobs.evidence import SeriesEvidence, examine
from dicom_node.jobs.records import StudyFacts
from dicom_node.jobs.store import Store
from dicom_node.settings import SettleSettings

NO_LONGER_HELD = "earlier images of this study are no longer held by this node; send the whole study again"


@dataclass(frozen=True)
class Wait:
    """Ask again at ``until``, if nothing comes before."""

    until: datetime


@dataclass(frozen=True)
class Settle:
    """Close the instance set.

    Attributes
    ----------
    evidence : dict
        JSON: ``words`` for the study; ``series``: by series UID ``words``, numbers, and ``incomplete``, the reason
        why this series must not be analysed, or None.
    """

    evidence: dict[str, object]
    incomplete: bool


def decide(facts: StudyFacts, now: datetime, settings: SettleSettings, started_at: datetime) -> Wait | Settle:
    """Decide whether a study is complete.

    Parameters
    ----------
    started_at : datetime
        When this node was started: the quiet time counts from there at the earliest, because senders that were cut
        off by the restart need time to come back.
    """
    last_at = max(facts.last_at, started_at)
    quiet_until = last_at + timedelta(seconds=settings.quiet_s)
    if now < quiet_until:
        return Wait(quiet_until)
    evidence = [examine(series, settings.quiet_s) for series in facts.series]
    hold_until = _last_news(evidence, last_at) + timedelta(seconds=settings.incomplete_hold_s)
    if any(series.waits for series in evidence) and now < hold_until:
        return Wait(hold_until)
    return _settle(facts, evidence, (now - facts.last_at).total_seconds())


def settle_due(store: Store, settings: SettleSettings, started_at: datetime) -> list[int]:
    """Close every study that has come to rest; returns the ids of their jobs, which are READY now."""
    now = store.clock()
    settled = []
    for facts in store.receiving_studies(now - timedelta(seconds=settings.quiet_s)):
        decision = decide(facts, now, settings, started_at)
        if isinstance(decision, Wait):
            store.wait(facts, decision.until)
        elif store.settle(facts.job_id, decision.evidence, decision.incomplete, facts.n_held):
            settled.append(facts.job_id)
    return settled


def incomplete_series(evidence: Mapping[str, object]) -> dict[str, str]:
    """Return, from a job's evidence, the series that must not be analysed: series UID -> reason in words."""
    series = evidence.get("series")
    if not isinstance(series, Mapping):
        return {}
    return {uid: str(said["incomplete"]) for uid, said in series.items() if said["incomplete"]}


def _last_news(evidence: Sequence[SeriesEvidence], last_at: datetime) -> datetime:
    return max([last_at, *(one.broken_at for one in evidence if one.broken_at is not None)])


def _settle(facts: StudyFacts, evidence: Sequence[SeriesEvidence], quiet_s: float) -> Settle:
    series = {one.series_instance_uid: _json(one, _incomplete(one, facts)) for one in evidence}
    words = f"no image for {quiet_s:.0f} s; {facts.n_held} images in {len(series)} series"
    if facts.n_removed:
        words += f"; {facts.n_removed} {NO_LONGER_HELD}"
    values: dict[str, object] = {"words": words, "quiet_s": quiet_s, "n_removed": facts.n_removed, "series": series}
    return Settle(values, incomplete=any(said["incomplete"] for said in series.values()))


def _incomplete(evidence: SeriesEvidence, facts: StudyFacts) -> str | None:
    if facts.n_removed:
        # a part must not silently take the place of the result on the whole
        return NO_LONGER_HELD
    if evidence.broken_at is not None:
        return f"reception broke off after {evidence.n_instances} images"
    return None


def _json(evidence: SeriesEvidence, incomplete: str | None) -> dict[str, object]:
    return {
        "words": evidence.words,
        "incomplete": incomplete,
        "n_instances": evidence.n_instances,
        "n_expected": evidence.expected.n if evidence.expected else None,
        "slice_spacing_mm": evidence.spacing.usual_mm if evidence.spacing else None,
        "gaps": [list(gap) for gap in evidence.spacing.gaps] if evidence.spacing else [],
        "missing_instance_numbers": list(evidence.missing_instance_numbers),
        "associations": [
            {"calling_ae_title": one.calling_ae_title, "n_new": one.n_new, "how_ended": one.how_ended}
            for one in evidence.associations
        ],
    }
