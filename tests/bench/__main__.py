"""``python -m tests.bench``: measure reception, analysis, the way to the results, the EMR; print tables, write JSON."""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench import analysis, fhir, journey, mllp, reception, servers, studies, table
from tests.bench.analysis import Cost
from tests.bench.fhir import Latency
from tests.bench.journey import Journey
from tests.bench.reception import Reception
from tests.support.data import data_dir
from tests.support.programs import DCMTK

PARTS = ("reception", "journey", "analysis", "mllp", "fhir")
# The longest of the shared real studies.
_REAL = "ct-chest/lidc-idri-0002/dicom"


@dataclass(frozen=True)
class Measured:
    """All figures of a run; what was not measured is None or empty."""

    received: Reception | None = None
    way: Journey | None = None
    costs: dict[str, Cost] = field(default_factory=dict)
    adt_per_s: float | None = None
    lookup: Latency | None = None

    @property
    def bars(self) -> list[table.Bar]:
        """Every promise with its figure."""
        return table.bars(self.received, self.costs, self.adt_per_s)


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of the reception (5)")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), metavar="DIR", help="for all of it (bench-out)")
    arguments = parser.parse_args()
    begin = time.monotonic()
    out: Path = arguments.out.absolute()
    found = _measure(arguments.only or PARTS, out, arguments.rounds)
    report = list(_report(found))
    print("\n".join(report))
    _write(out, report, found)
    _say(f"{time.monotonic() - begin:.0f} s; bench.txt and bench.json are in {out}")
    return 0


def _measure(parts: Sequence[str], out: Path, rounds: int) -> Measured:
    study = studies.chest(out / "ct" / "chest")
    _say(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; {studies.N_SLICES} slices in {study}")
    return Measured(
        costs=_analysis(study) if "analysis" in parts else {},
        way=_journey(study, out) if "journey" in parts else None,
        received=_reception(study, out, rounds) if "reception" in parts else None,
        adt_per_s=_mllp() if "mllp" in parts else None,
        lookup=_fhir() if "fhir" in parts else None,
    )


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _analysis(study: Path) -> dict[str, Cost]:
    _say("analysis")
    costs = {"the phantom": analysis.measure(study)}
    if (real := data_dir() / _REAL).is_dir():
        costs["LIDC-IDRI-0002"] = analysis.measure(real)
    return costs


def _mllp() -> float:
    """Return the best of three: the others tell of what else ran on the machine."""
    _say("HL7 v2 by MLLP")
    return max(mllp.acknowledged_per_s() for _ in range(3))


def _fhir() -> Latency | None:
    _say("record by FHIR")
    latency = fhir.measure()
    if latency is None:
        _say("no lookup: it takes the FHIR server (`make peers`) and the shared bundles")
    return latency


def _journey(study: Path, out: Path) -> Journey | None:
    if not shutil.which("Orthanc") or not (DCMTK / "storescu").exists():
        _say("no way to the PACS: it takes DCMTK and Orthanc")
        return None
    _say("last slice to results")
    with reception.fresh(out / "storage") as storage:
        return journey.measure(study, storage)


def _reception(study: Path, out: Path, rounds: int) -> Reception | None:
    if not (DCMTK / "storescu").exists():
        _say("no reception: it takes DCMTK's storescu")
        return None
    return reception.measure(servers.available(), study, out, rounds, _say)


def _report(found: Measured) -> Iterable[str]:
    for name, cost in found.costs.items():
        yield from (*table.lines_of_cost(name, cost), "")
    if found.way:
        yield from (*table.lines_of_journey(found.way), "")
    if found.received:
        yield from (*table.lines_of_reception(found.received), "")
    if found.lookup:
        yield from (*table.lines_of_latency(found.lookup), "")
    yield from table.lines_of_bars(found.bars)


def _write(out: Path, report: list[str], found: Measured) -> None:
    rates = found.received.rates.items() if found.received else ()
    content = {
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "images_per_second": [{"server": server, "associations": n, "rounds": each} for (server, n), each in rates],
        "last_slice_to_results": asdict(found.way) if found.way else None,
        "analysis": {name: asdict(cost) for name, cost in found.costs.items()},
        "fhir_lookup_seconds": found.lookup.seconds if found.lookup else None,
        "bars": [asdict(bar) | {"is_met": bar.is_met} for bar in found.bars],
    }
    (out / "bench.txt").write_text("\n".join(report) + "\n", encoding="utf-8")
    (out / "bench.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
