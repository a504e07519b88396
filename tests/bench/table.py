"""The figures as plain tables, beside the bars they have to reach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.analysis import Cost
from tests.bench.fhir import Latency
from tests.bench.journey import Journey
from tests.bench.mllp import CONNECTIONS
from tests.bench.reception import N_PARALLEL, WHILE_ANALYSING, Reception
from tests.bench.servers import NODE, ORTHANC

MAX_SECONDS, MAX_MB, PER_SLICES = 30.0, 2048.0, 300
MIN_ADT_PER_S = 500.0


@dataclass(frozen=True)
class Bar:
    """One promise: a figure and what it has to be."""

    words: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether it is kept; None where there is no figure."""
        if self.value is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def bars(reception: Reception | None, costs: dict[str, Cost], adt_per_s: float | None = None) -> list[Bar]:
    """Return every promise on speed and memory with its figure."""
    found = [*(_reception_bars(reception) if reception else ()), *_analysis_bars(costs)]
    if adt_per_s is not None:
        words = f"ADT messages acknowledged per second, durable, {CONNECTIONS} connections"
        found.append(Bar(words, adt_per_s, at_least=MIN_ADT_PER_S))
    return found


def _reception_bars(reception: Reception) -> Iterator[Bar]:
    four = f"{N_PARALLEL} associations"
    yield Bar(f"{NODE} : {ORTHANC}, 1 association", reception.ratio(NODE, ORTHANC, 1), at_least=1.3)
    yield Bar(f"{NODE} : {ORTHANC}, {four}", reception.ratio(NODE, ORTHANC, N_PARALLEL), at_least=1.1)
    for n, words in ((1, "1 association"), (N_PARALLEL, four)):
        yield Bar(f"{WHILE_ANALYSING} : {ORTHANC}, {words}", reception.ratio(WHILE_ANALYSING, ORTHANC, n), at_least=0.5)


def _analysis_bars(costs: dict[str, Cost]) -> Iterator[Bar]:
    for name, cost in costs.items():
        seconds = cost.seconds * PER_SLICES / cost.n_slices
        yield Bar(f"analysis of {name}: seconds for {PER_SLICES} slices", seconds, at_most=MAX_SECONDS)
        yield Bar(f"analysis of {name}: peak memory, MB", cost.peak_mb, at_most=MAX_MB)


def lines_of_reception(reception: Reception) -> Iterator[str]:
    """Yield images a second by server, and the ratio to Orthanc of the same round."""
    yield "Reception, images/s (median of the rounds; in brackets: ratio to Orthanc in the same round)"
    servers = list(dict.fromkeys(server for server, _ in reception.rates))
    yield from _columns(
        [
            ["", "1 association", f"{N_PARALLEL} associations"],
            *([server, *(_rate(reception, server, n) for n in (1, N_PARALLEL))] for server in servers),
        ]
    )


def _rate(reception: Reception, server: str, n: int) -> str:
    rate, ratio = reception.rate(server, n), reception.ratio(server, ORTHANC, n)
    if rate is None:
        return "-"
    return f"{rate:.0f}" + (f" ({ratio:.2f})" if ratio is not None else "")


def lines_of_journey(journey: Journey) -> Iterator[str]:
    """Yield what the time to the results consists of."""
    rest = journey.seconds - journey.quiet_s - journey.analysis_s
    yield f"Last slice to SEG and SR in Orthanc: {journey.seconds:.1f} s"
    yield f"  of it quiet time {journey.quiet_s:.1f} s ({journey.quiet_s / journey.seconds:.0%}),"
    yield f"  analysis {journey.analysis_s:.1f} s, hand-overs and delivery {rest:.1f} s"


def lines_of_latency(latency: Latency) -> Iterator[str]:
    """Yield how long a record takes to be read from a FHIR server."""
    yield f"Record of a patient with {latency.n_resources} resources on a FHIR server of this machine:"
    yield f"  {latency.median_ms:.0f} ms (median of {len(latency.seconds)}), at most {latency.worst_ms:.0f} ms"


def lines_of_cost(name: str, cost: Cost) -> Iterator[str]:
    """Yield seconds and memory of an analysis by stage."""
    yield f"Analysis of {name}, {cost.n_slices} slices, {cost.n_findings} findings, one process"
    rows = [["", "seconds", "CPU s", "peak MB"]]
    rows += [[s.name, f"{s.seconds:.2f}", f"{s.cpu_s:.2f}", f"{s.peak_mb:.0f}"] for s in cost.stages]
    rows.append(["all", f"{cost.seconds:.2f}", f"{cost.cpu_s:.2f}", f"{cost.peak_mb:.0f}"])
    yield from _columns(rows)


def lines_of_bars(found: Sequence[Bar]) -> Iterator[str]:
    """Yield every promise and whether it is kept."""
    yield "To reach"
    yield from _columns([["", "figure", "bar", ""], *map(_row, found)])


def _row(bar: Bar) -> list[str]:
    limit = f">= {bar.at_least:g}" if bar.at_least is not None else f"<= {bar.at_most:g}"
    figure = "-" if bar.value is None else f"{bar.value:.2f}"
    return [bar.words, figure, limit, {None: "not measured", True: "reached", False: "MISSED"}[bar.is_met]]


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows with the first column flush left and the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for first, *others in rows:
        cells = (other.rjust(width) for other, width in zip(others, widths[1:], strict=True))
        yield "  ".join(["  " + first.ljust(widths[0]), *cells]).rstrip()
