"""Records that come after the results: the study's next revision uses them, where the settings want that."""

import logging
from datetime import timedelta

from dicom_node.domain import Job
from dicom_node.emr_records import Ask
from dicom_node.errors import InstanceUnreadable, NodeError
from dicom_node.jobs.store import Store
from dicom_node.objects import ct_pixels
from dicom_node.record_used import USED, RecordUsed, from_json

_LOG = logging.getLogger(__name__)
# What is compared; earlier examinations are not: our own report would be one of them.
_NO_NEWS = frozenset({"prior_imaging"})


def look(store: Store, ask: Ask, hours: float) -> None:
    """``revise``, as a thread does it: trouble of the ledger is logged, and the next look may find it mended."""
    try:
        revise(store, ask, hours)
    except NodeError as error:
        _LOG.warning("late records: %s", error)


def revise(store: Store, ask: Ask, hours: float) -> list[int]:
    """Ask again for the patients of the last results, and open a revision where the record says something else now.

    A record that is away, or of which identity is no longer confirmed, opens none: results are not taken back for that.

    Parameters
    ----------
    hours : float
        How long after its first images a study is looked at.

    Returns
    -------
    list of int
        The jobs that were opened.
    """
    since = store.clock() - timedelta(hours=hours)
    opened = (_revise(store, ask, job) for job in store.jobs_with_record(since))
    return [job_id for job_id in opened if job_id is not None]


def _revise(store: Store, ask: Ask, job: Job) -> int | None:
    document, refs = store.job_record(job.id), store.instances(job.id)
    if document is None or not refs:
        return None
    try:
        found = ask(ct_pixels.read_header(refs[0]), job.called_ae_title)()
    except (InstanceUnreadable, OSError) as error:
        _LOG.warning("job %d: its patient's record was not asked for again: %s", job.id, type(error).__name__)
        return None
    news = _news(from_json(document), found)
    if not news:
        return None
    opened = store.revise(job.id, f"the patient's record says more by now: {', '.join(news)}")
    if opened is not None:
        _LOG.info("job %d: opened by a record that came after the results", opened)
    return opened


def _news(used: RecordUsed, found: RecordUsed) -> list[str]:
    """Return the names of what is said now and was not, or otherwise."""
    if found.decision != USED:
        return []
    before = {(item.name, item.value) for item in used.record.items()}
    now = (item for item in found.record.items() if item.name not in _NO_NEWS)
    return [item.name.replace("_", " ") for item in now if (item.name, item.value) not in before]
