"""Rows of the ledger as plain values."""

from pathlib import Path
from typing import Any

from sqlalchemy import Row

from dicom_node.domain import InstanceRef, Job, Outcome, Reason, ResultRef, SeriesVerdict
from dicom_node.jobs.records import Attempt, Delivery, Target

AnyRow = Row[*tuple[Any, ...]]


def job_of(row: AnyRow) -> Job:
    """Read a row of ``jobs``."""
    return Job(
        id=row.id,
        called_ae_title=row.called_ae_title,
        study_instance_uid=row.study_instance_uid,
        revision=row.revision,
        state=row.state,
        created_at=row.created_at,
        settled_at=row.settled_at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reason=None if row.reason is None else Reason(row.reason),
        detail=row.detail,
        predecessor_id=row.predecessor_id,
        evidence=row.evidence,
    )


def instance_of(row: AnyRow) -> InstanceRef:
    """Read a row of ``instances``."""
    return InstanceRef(
        path=Path(row.path),
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        digest=row.digest,
        n_bytes=row.n_bytes,
        header=row.header,
    )


def columns_of_instance(ref: InstanceRef) -> dict[str, Any]:
    """Write what an ``InstanceRef`` says as columns of ``instances``."""
    return {
        "path": str(ref.path),
        "study_instance_uid": ref.study_instance_uid,
        "series_instance_uid": ref.series_instance_uid,
        "sop_instance_uid": ref.sop_instance_uid,
        "sop_class_uid": ref.sop_class_uid,
        "transfer_syntax_uid": ref.transfer_syntax_uid,
        "digest": ref.digest,
        "n_bytes": ref.n_bytes,
        "header": ref.header,
    }


def result_of(row: AnyRow) -> ResultRef:
    """Read a row of ``results``."""
    return ResultRef(
        path=Path(row.path),
        kind=row.kind,
        series_instance_uid=row.series_instance_uid,
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
    )


def columns_of_result(ref: ResultRef) -> dict[str, Any]:
    """Write a ``ResultRef`` as columns of ``results``."""
    return {
        "path": str(ref.path),
        "kind": ref.kind,
        "series_instance_uid": ref.series_instance_uid,
        "sop_instance_uid": ref.sop_instance_uid,
        "sop_class_uid": ref.sop_class_uid,
        "transfer_syntax_uid": ref.transfer_syntax_uid,
    }


def verdict_of(values: dict[str, Any]) -> SeriesVerdict:
    """Read one of the JSON objects that ``json_of_verdict`` writes."""
    reason = values["reason"]
    return SeriesVerdict(**{**values, "reason": None if reason is None else Reason(reason)})


def json_of_verdict(verdict: SeriesVerdict) -> dict[str, object]:
    """Write a verdict as a JSON object."""
    return {
        "series_instance_uid": verdict.series_instance_uid,
        "series_number": verdict.series_number,
        "description": verdict.description,
        "modality": verdict.modality,
        "n_instances": verdict.n_instances,
        "reason": None if verdict.reason is None else verdict.reason.value,
        "detail": verdict.detail,
    }


def delivery_of(row: AnyRow) -> Delivery:
    """Read a row of ``deliveries``."""
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        target=row.target,
        state=row.state,
        attempts=row.attempts,
        parked=row.parked_at is not None,
        last_error=row.last_error,
        next_attempt_at=row.next_attempt_at,
        ended_at=row.ended_at,
    )


def target_of(row: AnyRow) -> Target:
    """Read a row of ``targets``."""
    return Target(
        name=row.name,
        failures=row.failures,
        parked=row.parked_at is not None,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
    )


def attempt_of(row: AnyRow) -> Attempt:
    """Read a row of ``attempts`` joined with the target of its delivery."""
    return Attempt(
        worker=row.worker,
        started_at=row.started_at,
        ended_at=row.ended_at,
        result=row.result,
        error=row.error,
        traceback=row.traceback,
        target=row.target,
    )
