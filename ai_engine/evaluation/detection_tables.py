"""The report on detection as Markdown.

Rules that the tables keep: every lung has a row of its own; the common threshold stands beside each lung's own; what
the candidates' own score does stands beside every scorer; real lesions are few and get no mean.
"""

from collections.abc import Iterator, Sequence

from ai_engine.domain import NoduleType
from ai_engine.evaluation.detection_report import BAR_MM, RATE, DetectionReport, at_bar, pooled
from ai_engine.evaluation.froc import Interval, Searched, Target, bootstrapped, curve
from ai_engine.evaluation.report import band_of, bands, grouped
from ai_engine.evaluation.reported import section
from ai_engine.evaluation.tables import Cells, table

#: False positives per scan at which sensitivity is shown.
SHOWN = (1.0, 2.0, 4.0, 8.0)
_REACHED = (0.8, 0.9)
_BAR = f"{BAR_MM:g} mm and more"
_SEED = 1


def markdown(report: DetectionReport) -> str:
    """Return the whole report as Markdown."""
    parts = ["# Detection of lung nodules", f"Printed by `{report.command}`. Research use only."]
    parts.append("\n".join(f"- {name}: {value}" for name, value in report.facts.items()))
    if report.proposed:
        parts += ["## Candidates", *_candidates(report), "## Planted nodules"]
        for scorer in report.scored:
            parts += _of_scorer(report, scorer)
        parts += ["## False positives removed by each stage", *_stages(report)]
    parts += _worse(report)
    parts += _real(report)
    parts += section(report.reported) if report.reported else ()
    return "\n\n".join(parts) + "\n"


def _candidates(report: DetectionReport) -> Iterator[str]:
    yield "Share of planted nodules that at least one candidate hits, before anything scores them; n in brackets."
    scans = pooled(report.proposed)
    yield table(["candidates", *bands()], [[name, *_by_band(scans, kind, None)] for name, kind in _kinds()])
    lungs = [
        [lung, str(len(mine)), f"{_false_positives(mine):.0f}", _share(_targets(mine, at_bar), None)]
        for lung, mine in grouped(scans, _lung_of).items()
    ]
    yield table(["lung", "scans", "candidates without a nodule, per scan", f"recall, {_BAR}"], lungs)


def _of_scorer(report: DetectionReport, scorer: str) -> Iterator[str]:
    threshold = report.threshold(scorer)
    yield f"### {scorer}"
    yield (
        f"Sensitivity for nodules of {_BAR}, at so many false positives per scan; each row at thresholds of its own, "
        f"but for the last two columns: one threshold ({threshold:.4g}) for all, {RATE:g} false positives per scan "
        "over all rows. In square brackets 95 % bootstrap intervals, drawn by lung (in a single lung by scan, which "
        "says nothing of others)."
    )
    groups = {"all": report.all_of(scorer)}
    groups |= {f"renderer {renderer}": list(scans) for renderer, scans in report.scored[scorer].items()}
    groups |= grouped(report.all_of(scorer), _lung_of)
    rows = [_row(name, scans, threshold) for name, scans in groups.items()]
    yield table(["row", "scans", "n", *(f"{rate:g}/scan" for rate in SHOWN), "CPM", "sens. at one", "FP/scan"], rows)
    yield f"Sensitivity by size and type at that threshold ({RATE:g} false positives per scan over all); n in brackets."
    scans = report.all_of(scorer)
    yield table(["type", *bands()], [[name, *_by_band(scans, kind, threshold)] for name, kind in _kinds()])


def _row(name: str, scans: Sequence[Searched], threshold: float) -> Cells:
    found = curve(scans, at_bar)
    sensitivity, rate = found.point(threshold)
    return [name, str(len(scans)), str(found.n_targets), *intervals(scans), f"{sensitivity:.3f}", f"{rate:.2f}"]


def intervals(scans: Sequence[Searched]) -> Cells:
    """Say the sensitivity from the bar on at each rate of ``SHOWN``, and the CPM, each with its interval."""
    at_rates = [bootstrapped(scans, lambda drawn, r=rate: curve(drawn, at_bar).at(r)[1], _SEED) for rate in SHOWN]  # type: ignore[misc]
    cpm = bootstrapped(scans, lambda drawn: curve(drawn, at_bar).cpm, _SEED)
    return [_interval(each) for each in (*at_rates, cpm)]


def _stages(report: DetectionReport) -> Iterator[str]:
    yield (
        f"Nodules of {_BAR}. A scorer that finds less than a share at any threshold has no figure there. Removed: of "
        f"the candidates that hit nothing, at the threshold for {RATE:g} per scan."
    )
    first = pooled(report.proposed)
    all_wrong = _false_positives(first)
    rows: list[Cells] = [["candidates", _share(_targets(first, at_bar), None), f"{all_wrong:.0f}", "-", "-", "-"]]
    for scorer in report.scored:
        found = curve(report.all_of(scorer), at_bar)
        sensitivity, rate = found.point(report.threshold(scorer))
        needed = [_rate_for(found.threshold_for(share), found.point) for share in _REACHED]
        rows.append([scorer, f"{sensitivity:.3f}", f"{rate:.2f}", f"{1 - rate / max(all_wrong, 1e-9):.2%}", *needed])
    head = [f"FP/scan for sensitivity {share:g}" for share in _REACHED]
    yield table(["after", "sensitivity", "FP/scan", "removed", *head], rows)


def _rate_for(threshold: float | None, point) -> str:  # type: ignore[no-untyped-def]
    return "not reached" if threshold is None else f"{point(threshold)[1]:.2f}"


def _worse(report: DetectionReport) -> Iterator[str]:
    if not report.worse:
        return
    yield "## The same scans, made worse"
    yield (
        f"Nodules of {_BAR}; sensitivity at {RATE:g} false positives per scan with a threshold of its own, and at the "
        "common threshold. Nodules that are lost between thick slices are left out of both."
    )
    rows: list[Cells] = []
    for change, pair in report.worse.items():
        for scorer, after in pair.after.items():
            threshold = report.threshold(scorer)
            was, now = curve(pair.before[scorer], at_bar), curve(after, at_bar)
            own = [f"{each.at(RATE)[1]:.3f}" for each in (was, now)]
            common = [f"{value:.2f}" for each in (was, now) for value in each.point(threshold)]
            rows.append([change, scorer, str(now.n_targets), *own, *common])
    common_head = [f"{what} {when}" for when in ("before", "after") for what in ("sens.", "FP/scan")]
    yield table(["change", "scorer", "n", "before", "after", *common_head], rows)


def _real(report: DetectionReport) -> Iterator[str]:
    if not report.real:
        return
    yield "## Real lesions (development cases)"
    yield (
        "These cases were looked at while the engine was built. Rank: among all candidates of the scan. Most have only "
        "one lesion outlined: a further candidate may be a nodule that nobody outlined, and still counts as a false "
        "positive here."
    )
    rows: list[Cells] = []
    for each in report.real:
        threshold = report.threshold(each.scorer) if each.scorer in report.scored else float("-inf")
        wrong = sorted(each.searched.false_positives, reverse=True)
        above = sum(score >= threshold for score in wrong)
        for target in each.searched.targets:
            words = "not rated" if target.nodule_type is None else str(target.nodule_type)
            place = [f"{target.diameter_mm:.0f}", words, *_found(target, wrong, threshold)]
            rows.append([each.searched.scan, target.name, each.scorer, *place, str(above)])
    head = ["series", "lesion", "scorer", "mm", "type", "score", "rank", "at the threshold", "FP at the threshold"]
    yield table(head, rows)


def _found(target: Target, wrong: Sequence[float], threshold: float) -> Cells:
    if target.score is None:
        return ["-", "-", "no candidate"]
    rank = 1 + sum(score > target.score for score in wrong)
    return [f"{target.score:.4g}", str(rank), "found" if target.score >= threshold else "missed"]


def _kinds() -> list[tuple[str, NoduleType | None]]:
    return [("all", None), *((str(kind), kind) for kind in NoduleType)]


def _by_band(scans: Sequence[Searched], kind: NoduleType | None, threshold: float | None) -> Iterator[str]:
    targets = _targets(scans, lambda target: kind is None or target.nodule_type is kind)
    for band in bands():
        mine = [target for target in targets if band_of(target.diameter_mm) == band]
        yield f"{_share(mine, threshold)} ({len(mine)})" if mine else "-"


def _share(targets: Sequence[Target], threshold: float | None) -> str:
    """Share of targets that have a candidate, or one that scores at least the threshold."""
    if not targets:
        return "-"
    scores = [target.score for target in targets if target.score is not None]
    return f"{sum(threshold is None or score >= threshold for score in scores) / len(targets):.3f}"


def _targets(scans: Sequence[Searched], counts) -> list[Target]:  # type: ignore[no-untyped-def]
    return [target for scan in scans for target in scan.targets if counts(target)]


def _false_positives(scans: Sequence[Searched]) -> float:
    return sum(len(scan.false_positives) for scan in scans) / max(len(scans), 1)


def _lung_of(scan: Searched) -> str:
    return scan.lung


def _interval(each: Interval) -> str:
    return f"{each.value:.3f}" if each.low is None else f"{each.value:.3f} [{each.low:.2f}, {each.high:.2f}]"
