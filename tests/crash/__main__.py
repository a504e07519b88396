"""``python -m tests.crash``: kill the node at many moments and print what came of it."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.crash import trial
from tests.crash.installation import BUILD
from tests.crash.moments import Launcher, moments
from tests.crash.study import Study, make_study
from tests.crash.trial import Trial
from tests.support.programs import DCMTK

_COLUMNS = ("no", "moment", "killed", "job was", "acked", "lost", "results", "sent again", "duplicates", "seconds", "")


def main() -> int:
    """Run the moments; the exit status is 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--moments", type=int, default=20, metavar="N", help="how many kills for each launcher (20)")
    parser.add_argument("--launcher", choices=tuple(BUILD), help="only this one")
    parser.add_argument("--only", type=int, metavar="I", help="only moment I, counted from 1")
    parser.add_argument("--out", type=Path, help="keep logs and data here")
    arguments = parser.parse_args()
    if missing := [name for name in ("storescu", "storescp") if not (DCMTK / name).exists()]:
        parser.error(f"DCMTK is not installed: no {', '.join(missing)} in {DCMTK}")
    with tempfile.TemporaryDirectory(prefix="emerald-crash-") as temporary:
        folder = arguments.out or Path(temporary)
        study = make_study(folder / "study")
        launchers = [arguments.launcher] if arguments.launcher else list(BUILD)
        trials = [one for launcher in launchers for one in _run(launcher, arguments, folder / launcher, study)]
    failed = sum(bool(each.problems) for each in trials)
    print(f"{len(trials)} kills, {failed} with a problem")
    return 1 if failed else 0


def _run(launcher: Launcher, arguments: argparse.Namespace, folder: Path, study: Study) -> list[Trial]:
    console = Console(width=None if sys.stdout.isatty() else 150)
    usual = trial.undisturbed(folder / "undisturbed", study, BUILD[launcher])
    console.print(
        f"{launcher}, undisturbed: {len(usual.results)} results, analysis {usual.analysis_cpu_s:.1f} s of processor"
    )
    table = Table(*_COLUMNS, title=f"emerald killed, launcher {launcher}")
    trials = []
    for i, moment in enumerate(moments(arguments.moments, launcher), start=1):
        if moment.syscall and shutil.which("strace") is None:
            console.print(f"{i} | {moment} | left out: strace is not installed")
        elif arguments.only in (None, i):
            trials.append(trial.run(moment, folder / f"moment-{i}", study, BUILD[launcher], usual))
            table.add_row(str(i), *_cells(trials[-1]))
            console.print(str(i), *_cells(trials[-1]), sep=" | ")
    console.print(table)
    return trials


def _cells(one: Trial) -> list[str]:
    return [
        str(one.moment),
        one.moment.victim,
        one.state,
        str(one.acknowledged),
        str(one.lost),
        str(one.results),
        str(one.sent_again),
        str(one.duplicates),
        f"{one.seconds:.1f}",
        "; ".join(one.problems) or "ok",
    ]


if __name__ == "__main__":
    sys.exit(main())
