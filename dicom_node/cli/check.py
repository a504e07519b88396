"""``emerald check``: is all well, and if not, what is to be done."""

import argparse
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from dicom_node import emr_delivery, engines, node
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.cli.tables import console
from dicom_node.dimse import scu
from dicom_node.emr_vocabulary import vocabulary
from dicom_node.errors import NodeError, PeerError
from dicom_node.jobs.records import Counts
from dicom_node.jobs.store import Store
from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.objects.words import threshold
from dicom_node.settings import Destination, EmrSettings, Pipeline, Settings

_MB = 1 << 20
# What a destination has to take, by the kind of object that it is configured for.
_SOP_CLASSES = {
    "seg": ("Segmentation", "1.2.840.10008.5.1.4.1.1.66.4"),
    "sr": ("Comprehensive 3D SR", "1.2.840.10008.5.1.4.1.1.88.34"),
    "key_images": ("Secondary Capture", "1.2.840.10008.5.1.4.1.1.7"),
}


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "note", "wrong"]
    words: str


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="test settings, peers, disk and models",
        description="Test all that the settings name: each PACS by C-ECHO and for the SOP classes that it must take, "
        "each EMR by a connection or its FHIR metadata, each called AE title, disk and models. "
        "Exits with 1 when something is wrong.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything; 1 when something is wrong."""
    settings = load_settings(arguments)
    lines = list(look(settings))
    table = Table("", "what", "result")
    colours = {"ok": "green", "note": "yellow", "wrong": "red"}
    for line in lines:
        table.add_row(Text(line.state, style=colours[line.state]), line.what, line.words)
    console().print(table)
    return 1 if any(line.state == "wrong" for line in lines) else 0


def look(settings: Settings) -> Iterator[Line]:
    """Look at everything, one line for each thing."""
    yield Line("settings", "ok", f"valid; data_dir is {settings.data_dir.absolute()}")
    yield Line("implementation", "ok", f"{IMPLEMENTATION_CLASS_UID} {IMPLEMENTATION_VERSION_NAME}")
    store = node.open_store(settings)
    yield from _incoming(settings, store)
    for destination in settings.destinations:
        yield from _destination(destination, settings)
    yield from _disk(settings, store.counts())
    yield from _emr(settings, store)
    yield from _ledger(store.counts(), set(settings.targets))
    for pipeline in settings.pipelines:
        yield from _engine(pipeline, settings.models)


def _incoming(settings: Settings, store: Store) -> Iterator[Line]:
    yield _port(settings)
    peers = store.peers()
    for pipeline in settings.pipelines:
        title = pipeline.called_ae_title
        allowed = ", ".join(peer.ae_title for peer in pipeline.allow_calling) or "any calling AE title"
        yield Line(f"called AE {title}", "ok", f"takes images from {allowed}")
        for peer in (peer for peer in peers if peer.called_ae_title == title):
            seen = peer.last_seen_at.astimezone().strftime("%Y-%m-%d %H:%M")
            words = f"last seen {seen} from {peer.address}, {peer.n_instances} images"
            yield Line(f"  from {peer.calling_ae_title}", "ok", words)


def _port(settings: Settings) -> Line:
    what = f"port {settings.dicom.port}"
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("127.0.0.1", settings.dicom.port)) == 0:
            return Line(what, "ok", "something listens: the node, if `emerald serve` runs")
    return Line(what, "note", "nothing listens: start `emerald serve`")


def _destination(destination: Destination, settings: Settings) -> Iterator[Line]:
    what = f"destination {destination.name}"
    senders = [p.called_ae_title for p in settings.pipelines if destination.name in p.destinations]
    if not senders:
        yield Line(what, "note", "no pipeline sends to it")
    for title in senders:
        try:
            seconds = scu.echo(destination.remote, title, destination.timeout_s)
            yield Line(what, "ok", f"{destination.remote} answers {title} in {seconds * 1000:.0f} ms")
            yield from _contexts(destination, title)
        except PeerError as error:
            yield Line(what, "wrong", f"as {title}: {error}")


def _contexts(destination: Destination, title: str) -> Iterator[Line]:
    wanted = [_SOP_CLASSES[kind] for kind in destination.objects]
    taken = scu.accepted_contexts(destination.remote, title, [uid for _, uid in wanted], destination.timeout_s)
    for name, uid in wanted:
        what = f"  {name} Storage"
        if taken.get(uid):
            yield Line(what, "ok", "accepted")
        else:
            words = f"not accepted: allow it for calling AE title {title} in the PACS, or leave it out of `objects`"
            yield Line(what, "wrong", words)


def _emr(settings: Settings, store: Store) -> Iterator[Line]:
    """Look at the sources of records and at the EMRs that are told results."""
    emr = settings.emr
    if emr.codes:
        yield _answers("codes of the site", lambda: _understood(emr), "emr.codes")
    if emr.fhir.base_url:
        yield _answers("record by FHIR", lambda: emr_delivery.probe_source(emr.fhir), "emr.fhir")
    if emr.asks_somebody and not (emr.default_issuer or emr.authorities):
        words = "no assigning authority is known: set emr.authorities, and emr.default_issuer where images name none"
        yield Line("record", "note", words)
    for destination in emr.destinations:
        what = f"destination {destination.name}"
        if not any(destination.name in pipeline.destinations for pipeline in settings.pipelines):
            yield Line(what, "note", "no pipeline sends to it")
        yield _answers(what, partial(emr_delivery.probe, destination), f"emr.destinations of {destination.name}")
    if counts := store.emr_counts():
        words = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts.items())
        yield Line("record and messages", "ok", words)


def _understood(emr: EmrSettings) -> str:
    vocabulary(emr)
    return f"{len(emr.codes)} codes are understood"


def _answers(what: str, ask: Callable[[], str], where: str) -> Line:
    try:
        return Line(what, "ok", ask())
    except NodeError as error:
        return Line(what, "wrong", f"{error}; see {where}")


def _disk(settings: Settings, counts: Counts) -> Iterator[Line]:
    usage = shutil.disk_usage(settings.data_dir)
    room = usage.free // _MB - settings.dicom.min_free_mb
    words = f"{usage.free // _MB} MB free, {counts.bytes_held // _MB} MB held"
    if room <= 0:
        yield Line("disk", "wrong", f"{words}: below min_free_mb, images are refused; make room")
        return
    per_day = counts.bytes_last_7_days / _MB / 7
    days = f"about {room / per_day:.0f} days at last week's rate" if per_day else "nothing came in last week"
    yield Line("disk", "ok", f"{words}; {days}")


def _ledger(counts: Counts, known: set[str]) -> Iterator[Line]:
    jobs = ", ".join(f"{n} {state}" for state, n in sorted(counts.jobs.items())) or "none yet"
    yield Line("jobs", "ok", jobs)
    if counts.parked_jobs:
        yield Line("jobs", "wrong", f"{counts.parked_jobs} parked: see `emerald jobs`, then `emerald retry ID`")
    for target, n in counts.parked.items():
        yield Line(f"to {target}", "wrong", f"{n} deliveries refused: see `emerald jobs`, then `emerald retry ID`")
    for target in counts.pending.keys() - known:
        words = (
            f"{counts.pending[target]} deliveries wait for a destination that the settings no longer name: put it back"
        )
        yield Line(f"to {target}", "wrong", words)
    if counts.quarantined:
        yield Line("quarantine", "note", f"{counts.quarantined} objects were put aside; the reasons lie beside them")


def _engine(pipeline: Pipeline, models_dir: Path) -> Iterator[Line]:
    what = f"engine of {pipeline.called_ae_title}"
    try:
        engine = engines.engine_for(pipeline.engine, models_dir)
    except (NodeError, ValueError) as error:
        yield Line(what, "wrong", str(error))
        return
    algorithm = engine.algorithm
    yield Line(what, "ok", f"{algorithm.name} {algorithm.version}, digest {algorithm.digest[:12]}")
    by = algorithm.scored_by
    detector = algorithm.stages["candidates"] if by is None else f"{algorithm.stages['scoring']}, {threshold(by)}"
    yield Line("  finds by", "ok", detector)
    parts = (
        f"adapter (weights {engine.adapter_weights[:12]})" if engine.adapter_weights else "nothing: no adapter for it"
    )
    yield Line("  outlines parts by", "ok", parts)
    yield Line("  is asked for", "ok", algorithm.prompt)
