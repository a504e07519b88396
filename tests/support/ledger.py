"""Studies for the ledger: instances that exist as rows only, and shortcuts to the later states of a job."""

from collections.abc import Iterable
from pathlib import Path

from dicom_node.domain import InstanceRef, Outcome, ResultRef
from dicom_node.jobs.store import Saved, Store

STUDY = "1.2.826.0.1.1"
CALLED = "EMERALD"
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
SPACING_MM = 2.5


def instance(number: int, series: int = 1, study: str = STUDY, **header: object) -> InstanceRef:
    """Return slice ``number`` (from 1) of an axial series with 2.5 mm spacing."""
    uid = f"{study}.{series}.{number}"
    geometry = {
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "InstanceNumber": number,
        "ImagePositionPatient": [-150.0, -150.0, SPACING_MM * number],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    }
    path = Path(f"/spool/received/{CALLED}/{study}/{uid}.dcm")
    return InstanceRef(
        path, study, f"{study}.{series}", uid, CT, EXPLICIT_LE, "ab" * 32, 525_000, {**geometry, **header}
    )


def receive(
    store: Store, numbers: Iterable[int], series: int = 1, how: str | None = "released", study: str = STUDY
) -> int:
    """Store these slices over one association that ends so (None: stays open); returns its id."""
    association = store.association_opened("SCANNER", CALLED, "192.0.2.7")
    for number in numbers:
        assert store.note_instance(CALLED, association, instance(number, series, study))
    if how is not None:
        store.association_ended(association, how)
    return association


def send_again(store: Store, numbers: Iterable[int], series: int = 1, study: str = STUDY) -> None:
    """Send held slices once more over an association that is released."""
    association = store.association_opened("SCANNER", CALLED, "192.0.2.7")
    for number in numbers:
        store.note_repeat(CALLED, association, f"{study}.{series}.{number}", "same bytes")
    store.association_ended(association, "released")


def settle(store: Store, job_id: int) -> None:
    """Close a job's instance set whatever the evidence."""
    facts = next(facts for facts in store.receiving_studies() if facts.job_id == job_id)
    assert store.settle(job_id, {"words": "settled by the test"}, False, facts.n_held)


def saved(job_id: int, targets: tuple[str, ...] = ("pacs",)) -> Saved:
    """Return an analysis with a SEG and an SR."""
    results = tuple(
        ResultRef(
            Path(f"/spool/results/{job_id}/{kind}.dcm"), kind, f"1.9.{job_id}", f"1.9.{job_id}.{n}", CT, EXPLICIT_LE
        )
        for n, kind in enumerate(("seg", "sr"), start=1)
    )
    return Saved(Outcome.FINDINGS, findings=[{"number": 1}], results=results, targets=targets, digests={"source": "cd"})


def analysed(
    store: Store, numbers: range = range(1, 4), targets: tuple[str, ...] = ("pacs",), study: str = STUDY
) -> int:
    """Bring a new revision of a study to ANALYSED (or DONE without targets); returns the job's id."""
    receive(store, numbers, study=study)
    job_id = store.jobs_of_study(study)[-1].id
    settle(store, job_id)
    assert store.claim_job("w", 30, job_id)
    store.save_analysis(job_id, "w", saved(job_id, targets))
    return job_id


def deliver(store: Store, job_id: int) -> None:
    """Deliver whatever a job has pending."""
    for delivery in store.deliveries(job_id):
        assert store.claim_delivery("d", 30, delivery_id=delivery.id)
        store.finish_delivery(delivery.id, "d")
