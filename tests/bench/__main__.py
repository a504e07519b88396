"""``python -m tests.bench``: measure reception, the way to the results, and analysis; print tables, write JSON."""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tests.bench import analysis, journey, mllp, reception, servers, studies, table
from tests.bench.analysis import Cost
from tests.bench.journey import Journey
from tests.bench.reception import Reception
from tests.support.data import data_dir
from tests.support.programs import DCMTK

PARTS = ("reception", "journey", "analysis", "mllp")
# The longest of the shared real studies.
_REAL = "ct-chest/lidc-idri-0002/dicom"


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of the reception (5)")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), metavar="DIR", help="for all of it (bench-out)")
    arguments = parser.parse_args()
    parts = arguments.only or PARTS
    begin = time.monotonic()
    out: Path = arguments.out.absolute()
    study = studies.chest(out / "ct" / "chest")
    _say(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; {studies.N_SLICES} slices in {study}")
    costs = _analysis(study) if "analysis" in parts else {}
    way = _journey(study, out) if "journey" in parts else None
    received = _reception(study, out, arguments.rounds) if "reception" in parts else None
    report = list(_report(received, way, costs))
    if "mllp" in parts:
        report += ["", f"ADT messages acknowledged, durable, over {mllp.CONNECTIONS} connections: {_mllp():.0f}/s"]
    print("\n".join(report))
    _write(out, report, received, way, costs)
    _say(f"{time.monotonic() - begin:.0f} s; bench.txt and bench.json are in {out}")
    return 0


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


def _report(received: Reception | None, way: Journey | None, costs: dict[str, Cost]) -> Iterable[str]:
    for name, cost in costs.items():
        yield from (*table.lines_of_cost(name, cost), "")
    if way:
        yield from (*table.lines_of_journey(way), "")
    if received:
        yield from (*table.lines_of_reception(received), "")
    yield from table.lines_of_bars(table.bars(received, costs))


def _write(
    out: Path, report: list[str], received: Reception | None, way: Journey | None, costs: dict[str, Cost]
) -> None:
    found = {
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "images_per_second": [
            {"server": server, "associations": n, "rounds": rates}
            for (server, n), rates in (received.rates.items() if received else ())
        ],
        "last_slice_to_results": asdict(way) if way else None,
        "analysis": {name: asdict(cost) for name, cost in costs.items()},
        "bars": [asdict(bar) | {"is_met": bar.is_met} for bar in table.bars(received, costs)],
    }
    (out / "bench.txt").write_text("\n".join(report) + "\n", encoding="utf-8")
    (out / "bench.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
