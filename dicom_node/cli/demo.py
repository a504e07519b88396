"""``emerald demo``: the whole way of a study on this machine, from a sender to a PACS and back to readable results."""

import argparse
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ai_engine.phantom import Planted
from dicom_node import node
from dicom_node.cases import phantom_series
from dicom_node.cases.demo_case import demo_case
from dicom_node.cases.lidc_database import LidcDatabase
from dicom_node.cli import demo_pacs, readable, send, tables
from dicom_node.cli.files import find_instances, print_skipped
from dicom_node.cli.options import Commands
from dicom_node.dimse import scu
from dicom_node.domain import InstanceRef, RemoteAE
from dicom_node.errors import NodeError, PeerError
from dicom_node.findings import Json, findings_of
from dicom_node.jobs.records import JobStatus
from dicom_node.jobs.store import Store
from dicom_node.settings import Settings, load

_AE_TITLE = "EMERALD"
_CONFIG = """\
# The demo's node: results go to the demo's PACS; a study is complete two seconds after its last image.
data_dir = {data_dir}

[dicom]
host = "127.0.0.1"
port = {port}
min_free_mb = 500

[settle]
quiet_s = 2

[[destinations]]
name = "pacs"
ae_title = "{pacs.ae_title}"
host = "{pacs.host}"
port = {pacs.port}
objects = ["seg", "sr", "key_images"]

[[pipelines]]
called_ae_title = "EMERALD"
destinations = ["pacs"]
"""
_OF_A_PHANTOM = """
[pipelines.engine]
# The image-text encoder has learnt in patients' lungs alone: it takes a phantom's drawn vessels for nodules.
detector = "classical"
"""


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="run the whole way of a study on this machine",
        description="Start a node and a receiving PACS (Orthanc, DCMTK's storescp, or a plain receiver), send a CT of "
        "a thorax phantom with nodules outlined by radiologists, and show what comes back.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where all goes (demo-out)")
    parser.add_argument("--ct", type=Path, metavar="DIR", help="send this study instead of the phantom")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which phantom (1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 1 when the study did not come back."""
    console = Console()
    out: Path = arguments.out.absolute()
    for part in ("node", "pacs", "results", "ct"):
        shutil.rmtree(out / part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    planted = [] if arguments.ct else _write_phantom(out / "ct", arguments.seed, console)
    instances, skipped = find_instances(arguments.ct or out / "ct")
    print_skipped(skipped)
    with demo_pacs.best_pacs(out / "pacs") as pacs:
        console.print(f"PACS: {pacs.name} as {pacs.remote}")
        settings = _settings(out, pacs.remote, is_phantom=not arguments.ct)
        with _serving(out, settings):
            status = _through(instances, settings, console)
        files = pacs.fetch(out / "pacs" / "fetched")
    return _show(status, settings, files, planted, console)


def _write_phantom(folder: Path, seed: int, console: Console) -> Sequence[Planted]:
    with console.status("making the phantom"):
        phantom = demo_case(LidcDatabase(), seed).phantom
        files = phantom_series.write(phantom.volume, phantom_series.SeriesIdentity(f"demo {seed}"), folder)
    console.print(f"phantom: {len(files)} CT slices with {len(phantom.planted)} nodules in {folder}")
    return phantom.planted


def _settings(out: Path, pacs: RemoteAE, *, is_phantom: bool) -> Settings:
    config = out / "node.toml"
    data_dir = json.dumps(str(out / "node"))
    text = _CONFIG.format(data_dir=data_dir, port=demo_pacs.free_port(), pacs=pacs)
    config.write_text(text + (_OF_A_PHANTOM if is_phantom else ""), encoding="utf-8")
    return load(config, {})


@contextmanager
def _serving(out: Path, settings: Settings) -> Iterator[None]:
    """Run ``emerald serve`` beside us, from its C-ECHO on."""
    command = [sys.executable, "-m", "dicom_node", "serve", "--config", str(out / "node.toml")]
    with (out / "node.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for_echo(process, settings, out / "node.log")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_for_echo(process: "subprocess.Popen[bytes]", settings: Settings, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            scu.echo(_node(settings), "EMERALD_SEND", 5)
            return
        except PeerError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NodeError(f"the node did not start, see {log}") from error
            time.sleep(0.2)


def _node(settings: Settings) -> RemoteAE:
    return RemoteAE(_AE_TITLE, settings.dicom.host, settings.dicom.port)


def _through(instances: list[InstanceRef], settings: Settings, console: Console) -> JobStatus:
    """Send the study and wait until its job has come to an end."""
    began = time.monotonic()
    refused = send.send(instances, _node(settings), "EMERALD_SEND", 60)
    if refused:
        raise NodeError(f"{len(refused)} of {len(instances)} images were refused by the node, see node.log")
    sent = time.monotonic()
    status = _wait_for_job(node.open_store(settings), console)
    words = f"{len(instances)} images received in {sent - began:.1f} s, results in the PACS after another"
    console.print(f"{words} {time.monotonic() - sent:.1f} s (2 s of it waiting for more images)")
    return status


def _wait_for_job(store: Store, console: Console) -> JobStatus:
    deadline = time.monotonic() + 600
    with console.status("waiting for the study to be complete") as spinner:
        while time.monotonic() < deadline:
            statuses = store.jobs(1)
            if statuses and statuses[0].job.state == "DONE":
                return statuses[0]
            if statuses:
                spinner.update(f"{statuses[0].job.state} {statuses[0].stage or ''}")
            time.sleep(0.2)
    raise NodeError("the results did not come within ten minutes; see `emerald jobs --config node.toml` and node.log")


def _show(
    status: JobStatus, settings: Settings, files: list[Path], planted: Sequence[Planted], console: Console
) -> int:
    results = settings.data_dir.parent / "results"
    kinds = readable.write(files, results)
    store = node.open_store(settings)
    saved = store.saved(status.job.id)
    findings = list(findings_of(saved.findings if saved else None))
    if saved:
        for verdict in saved.verdicts:
            console.print(f"series {verdict.series_number}: {verdict.words}")
    if findings:
        console.print(tables.findings_table(findings))
    if planted:
        console.print(_comparison(planted, findings))
    console.print(f"outcome: {status.job.outcome}; in the PACS: {kinds or 'nothing'}")
    console.print(f"SEG, SR, key images and the readable report are in {results}. Research use only.")
    return 0 if files else 1


def _comparison(planted: Sequence[Planted], findings: list[Json]) -> Table:
    table = Table("planted", "type", "longest mm", "mm³", "found as", "longest mm", "mm³", title="Planted and found")
    free = list(findings)
    for truth in planted:
        row = (str(truth.number), truth.nodule_type, f"{truth.diameter_mm:.1f}", f"{truth.volume_mm3:.0f}")
        match = next((finding for finding in free if _hits(finding, truth)), None)
        if match:
            free.remove(match)
        table.add_row(*row, *(_found(match) if match else ("[red]not found[/]", "", "")))
    for other in free:
        table.add_row("none", "", "", "", *_found(other))
    return table


def _hits(finding: Json, truth: Planted) -> bool:
    """LUNA16's rule: the centre lies within the radius (Setio et al., Med Image Anal 2017)."""
    return math.dist(finding["centre_lps_mm"], truth.centre_lps_mm) < truth.diameter_mm / 2


def _found(finding: Json) -> tuple[str, str, str]:
    return finding["tracking_id"], f"{finding['long_axis_mm']:.1f}", f"{finding['volume_mm3']:.0f}"
