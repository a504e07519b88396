"""``emerald jobs``, ``job ID``, ``retry ID``: what the ledger says, and the one write that an operator needs."""

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from datetime import datetime

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dicom_node import node
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.cli.tables import console, detection_in_words
from dicom_node.jobs.records import Delivery, JobStatus
from dicom_node.jobs.store import Store


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    listing = commands.add_parser("jobs", help="list the jobs", description="The newest jobs, newest first.")
    add_config(listing)
    listing.add_argument("--limit", type=int, default=30, metavar="N", help="how many (30)")
    listing.add_argument("--watch", action="store_true", help="keep showing them until interrupted")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=run_jobs)

    one = commands.add_parser("job", help="show one job's history", description="All that is known of one job.")
    add_config(one)
    one.add_argument("id", type=int, metavar="ID", help="number of the job")
    one.set_defaults(run=run_job)

    retry = commands.add_parser(
        "retry",
        help="try a failed job again",
        description="Let a parked or failed job go on: send again what a destination refused, or analyse again.",
    )
    add_config(retry)
    retry.add_argument("id", type=int, metavar="ID", help="number of the job")
    retry.set_defaults(run=run_retry)


def run_jobs(arguments: argparse.Namespace) -> int:
    """List the jobs."""
    store = node.open_store(load_settings(arguments))
    if arguments.json:
        print(json.dumps([_plain(status) for status in store.jobs(arguments.limit)], indent=2))
    elif arguments.watch:
        _watch(store, arguments.limit)
    else:
        console().print(Group(_table(store.jobs(arguments.limit)), *_dead_letters(store)))
    return 0


def run_job(arguments: argparse.Namespace) -> int:
    """Show one job."""
    store = node.open_store(load_settings(arguments))
    console().print(_story(store, arguments.id))
    return 0


def run_retry(arguments: argparse.Namespace) -> int:
    """Let a job go on; 1 when there was nothing to try again."""
    done = node.open_store(load_settings(arguments)).retry(arguments.id)
    for words in done:
        print(f"job {arguments.id} {words}")
    if not done:
        print(f"job {arguments.id}: nothing to try again")
    return 0 if done else 1


def _dead_letters(store: Store) -> Iterator[Table]:
    """Yield what of HL7 v2 waits for a person: messages that could not be used, and results that were refused."""
    received, sent = store.emr_dead_letters(limit=10), store.outbox_dead()
    if received:
        table = Table("received", "from", "control id", "why it could not be used", title="HL7 v2 messages not used")
        for letter in received:
            table.add_row(_local(letter.at), f"{letter.sender} at {letter.peer}", letter.control_id, letter.refused)
        yield table
    if sent:
        table = Table("to", "control id", "attempts", "why it was not delivered", title="HL7 v2 results not delivered")
        for row in sent:
            table.add_row(row.destination, row.control_id, str(row.attempts), row.last_error or "")
        yield table


def _watch(store: Store, limit: int) -> None:
    with Live(_table(store.jobs(limit)), console=console(), refresh_per_second=2) as live:
        while True:
            time.sleep(0.5)
            live.update(_table(store.jobs(limit)))


def _table(statuses: list[JobStatus]) -> Table:
    table = Table("job", "to", "study", "rev", "images", "state", "outcome", "deliveries", "since", "trouble")
    for status in statuses:
        job = status.job
        table.add_row(
            str(job.id),
            job.called_ae_title,
            "…" + job.study_instance_uid[-8:],
            str(job.revision),
            str(status.n_instances),
            _state(status),
            _outcome(status),
            ", ".join(_delivery(delivery) for delivery in status.deliveries) or "-",
            _local(job.created_at),
            Text(_trouble(status), style="red"),
        )
    return table


def _state(status: JobStatus) -> str:
    if status.stage and status.fraction is not None:
        return f"{status.job.state} {status.stage} {_bar(status.fraction)}"
    return status.job.state + (" (parked)" if status.parked else "")


def _bar(fraction: float, width: int = 10) -> str:
    filled = round(max(0.0, min(1.0, fraction)) * width)
    return "█" * filled + "░" * (width - filled)


def _outcome(status: JobStatus) -> str:
    job = status.job
    if job.outcome and job.reason:
        return f"{job.outcome}: {job.reason.sentence}"
    return f"{job.outcome} ({job.detail})" if job.outcome and job.detail else job.outcome or "-"


def _delivery(delivery: Delivery) -> str:
    parked = " (parked)" if delivery.parked else ""
    return f"{delivery.target} {delivery.state}{parked}"


def _trouble(status: JobStatus) -> str:
    undelivered = (d for d in status.deliveries if d.last_error and not d.ended_at)
    errors = [status.last_error, *(f"{d.target}: {d.last_error}" for d in undelivered)]
    return "; ".join(error for error in errors if error)


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _story(store: Store, job_id: int) -> Group:
    status = store.status(job_id)
    job = status.job
    head = Table(show_header=False, box=None)
    for name, value in (
        ("job", f"{job.id} (revision {job.revision} for {job.called_ae_title})"),
        ("study", job.study_instance_uid),
        ("state", _state(status)),
        ("outcome", f"{_outcome(status)} {job.detail if job.reason else ''}".strip()),
        ("trouble", _trouble(status) or "none"),
        *_detection(store, job_id),
    ):
        head.add_row(name, value)
    return Group(
        head, _series(store, job_id), _results(store, job_id), _history(store, job_id), _attempts(store, job_id)
    )


def _detection(store: Store, job_id: int) -> Iterator[tuple[str, str]]:
    """Yield what was asked for and what scored, and how long each stage took."""
    saved = store.saved(job_id)
    told = saved.findings if saved else None
    if isinstance(told, dict):
        yield from detection_in_words(told)
        for series in told.get("series", ()):
            yield "seconds", ", ".join(f"{stage} {seconds:g}" for stage, seconds in series["seconds"].items())


def _series(store: Store, job_id: int) -> Table:
    table = Table("series", "no.", "images", "what became of it", title="Series")
    saved = store.saved(job_id)
    for verdict in saved.verdicts if saved else ():
        number = "-" if verdict.series_number is None else str(verdict.series_number)
        table.add_row(verdict.series_instance_uid, number, str(verdict.n_instances), verdict.words)
    return table


def _results(store: Store, job_id: int) -> Table:
    table = Table("kind", "SOP instance", "file", title="Results")
    for result in store.results(job_id):
        table.add_row(result.kind, result.sop_instance_uid, str(result.path))
    return table


def _history(store: Store, job_id: int) -> Table:
    table = Table("when", "event", "", title="History")
    for event in store.history(job_id):
        table.add_row(_local(event.at), event.event, event.words)
    return table


def _attempts(store: Store, job_id: int) -> Table:
    table = Table("started", "worker", "what", "result", "error", title="Attempts")
    for attempt in store.attempts(job_id):
        what = f"send to {attempt.target}" if attempt.target else "analyse"
        table.add_row(
            _local(attempt.started_at), attempt.worker, what, attempt.result or "running", attempt.error or ""
        )
    return table


def _plain(status: JobStatus) -> dict[str, object]:
    plain: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(status), default=str))
    return plain
