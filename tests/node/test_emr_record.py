"""The record beside the pixels: what a study's analysis is told of the patient, from whom, and when it is not."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicom_node import emr_records, engines, late_records, node, pipeline, record_used, report, settings
from dicom_node.domain import Job
from dicom_node.emr_records import asking
from dicom_node.emr_store import EmrStore
from dicom_node.jobs.records import RecordRow
from dicom_node.jobs.store import Store
from dicom_node.record_used import RecordUsed
from dicom_node.settings import EngineSettings
from hl7_emr.domain import Conflict, Item, PartialDate, PatientRecord
from hl7_emr.hl7v2.intake import Rules, examine
from tests.node.test_report import made, texts
from tests.support.clock import Clock
from tests.support.emr_case import AUTHORITIES, admission, resources
from tests.support.emr_systems import FhirStandIn
from tests.support.ledger import analysed, receive, saved, settle

AT = datetime(2026, 1, 2, tzinfo=UTC)


def header(**changes: str) -> Dataset:
    dataset = Dataset()
    said = {
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "IssuerOfPatientID": "HOSP",
        "PatientBirthDate": "19500203",
        "PatientSex": "F",
        "StudyDate": "20260115",
    }
    for keyword, value in (said | changes).items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.fixture
def fhir() -> Iterator[FhirStandIn]:
    with FhirStandIn(resources()) as server:
        yield server


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., RecordUsed]]:
    """Return what asks a node with these settings of the record for the patient of a header."""
    stores: list[Store] = []

    def asked(
        of: Dataset, fhir: dict[str, Any] | None = None, told: bytes = b"", is_test: bool = False, **emr: Any
    ) -> RecordUsed:
        pacs = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.1", "port": 104, "is_test": is_test}
        values = settings.parse(
            {
                "data_dir": tmp_path,
                "destinations": [pacs],
                "pipelines": [{"called_ae_title": "EMERALD", "destinations": ["pacs"]}],
                "emr": {"authorities": AUTHORITIES, "fhir": fhir or {}, **emr},
            }
        )
        stores.append(node.open_store(values))
        if told:
            EmrStore(stores[-1]).take([examine(told, "peer", AT, Rules()).received])
        begin = asking(values, stores[-1])
        assert begin is not None
        return begin(of, "EMERALD")()

    yield asked
    for store in stores:
        store.close()


def names(known: RecordUsed) -> set[str]:
    return {item.name for item in known.record.items()}


def test_without_a_source_nobody_is_asked_and_results_stay_what_they_were(tmp_path: Path) -> None:
    parts = node.build_parts(settings.parse({"data_dir": tmp_path}))
    parts.store.close()
    assert parts.ask is None

    known = RecordUsed(report.record_from_header(header()))
    study = pipeline.Study(header(), known, (), ())
    engine = engines.engine_for(EngineSettings(), tmp_path)
    job = Job(1, "EMERALD", "2.25.1", 1, "READY", AT, AT)
    context = pipeline.object_context(job, [], study, engine, pipeline.Identity("2.25.1", "0.1.0"))
    # as before there was any source
    parts_of_digest = (engine.algorithm.digest, "0.1.0", repr(report.record_from_header(header())))
    assert context.engine_digest == hashlib.sha256("\n".join(parts_of_digest).encode()).hexdigest()
    (sr,) = made().of_kind("sr")
    assert not [text for text in texts(sr) if "patient record" in text.lower()]


def test_messages_and_fhir_make_one_record(ask: Callable[..., RecordUsed], fhir: FhirStandIn) -> None:
    known = ask(header(), {"base_url": fhir.base_url}, admission(), ask_messages="always")

    assert (known.decision, known.words, known.counter) == ("used", "record used: identity confirmed", "record_used")
    assert {"emphysema", "ever_smoker", "family_history_of_lung_cancer", "age_years", "sex"} <= names(known)
    assert known.record.age_years.source.startswith("DICOM")
    assert known.record.patient is None


@pytest.mark.parametrize(
    ("asks", "mllp", "used"), [("auto", False, False), ("auto", True, True), ("never", True, False)]
)
def test_the_settings_say_whether_messages_are_asked(
    asks: str, mllp: bool, used: bool, ask: Callable[..., RecordUsed], fhir: FhirStandIn
) -> None:
    more = {"ask_messages": asks, "mllp": {"enabled": mllp}}
    known = ask(header(), {"base_url": fhir.base_url}, admission(), **more)
    assert ("emphysema" in names(known)) == used
    assert "family_history_of_lung_cancer" in names(known)


@pytest.mark.parametrize(
    ("changes", "decision", "counter"),
    [
        ({"PatientName": "Smith^Jane"}, "name_differs", "record_refused"),
        ({"PatientBirthDate": "19510203"}, "birth_date_differs", "record_refused"),
        ({"PatientID": "4712"}, "not_found", "record_not_found"),
        ({"IssuerOfPatientID": ""}, "issuer_unknown", "record_refused"),
    ],
)
def test_of_another_patient_nothing_is_used(
    changes: dict[str, str], decision: str, counter: str, ask: Callable[..., RecordUsed], fhir: FhirStandIn
) -> None:
    known = ask(header(**changes), {"base_url": fhir.base_url}, admission(), ask_messages="always")

    assert (known.decision, known.counter) == (decision, counter)
    assert known.record == report.record_from_header(header(**changes))
    assert known.sentences[0].startswith("Patient record not used: identity not confirmed (")
    assert known.sentences[0].endswith(f" [{decision}].")


def test_a_server_in_trouble_does_not_pass_for_a_patient_without_record(
    ask: Callable[..., RecordUsed], fhir: FhirStandIn
) -> None:
    fhir.broken = True
    known = ask(header(), {"base_url": fhir.base_url})

    assert (known.decision, known.counter) == ("unavailable", "record_unavailable")
    assert any("500" in sentence for sentence in known.sentences)


def test_messages_are_used_where_the_server_is_in_trouble(ask: Callable[..., RecordUsed], fhir: FhirStandIn) -> None:
    fhir.broken = True
    known = ask(header(), {"base_url": fhir.base_url}, admission(), ask_messages="always")

    assert known.decision == "used"
    assert "emphysema" in names(known)
    assert any("500" in sentence for sentence in known.sentences)


@pytest.mark.parametrize("trouble", ["slow", "mistaken"])
def test_the_images_are_analysed_without_an_answer(
    trouble: str, ask: Callable[..., RecordUsed], fhir: FhirStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def lookup(*_: object) -> None:
        if trouble == "slow":
            over.wait(30)
        raise TypeError("a mistake of ours, with a name: Doe")

    monkeypatch.setattr(emr_records.Records, "lookup", lookup)
    monkeypatch.setattr(emr_records, "_GRACE_S", 0.0)
    known = ask(header(), {"base_url": fhir.base_url, "budget_s": 0.1})
    over.set()

    assert known.decision == "unavailable"
    assert known.record == report.record_from_header(header())
    assert "Doe" not in " ".join(known.sentences)


def test_a_made_up_record_is_used_for_tests_only(ask: Callable[..., RecordUsed], fhir: FhirStandIn) -> None:
    fhir.resources = resources(meta={"versionId": "1", "tag": [{"code": "HTEST"}]})

    refused = ask(header(), {"base_url": fhir.base_url})
    assert refused.decision == "synthetic"
    assert refused.record == report.record_from_header(header())

    used = ask(header(), {"base_url": fhir.base_url}, is_test=True)
    assert used.decision == "used"
    assert "The patient record is synthetic: made up, true of no living person." in used.sentences


def test_the_report_names_what_is_used_and_what_contradicts_itself() -> None:
    never = Item("smoking_status", "never", "Observation/3/_history/1", PartialDate(2024, 5))
    copd = Item("copd", True, "HL7 v2 message 7, DG1 2", date(2025, 2, 1))
    conflict = Conflict("smoking", "never smoked, but pack years 30", (never,))
    known = RecordUsed(PatientRecord(copd=copd, conflicts=(conflict,)), "used", "record used: identity confirmed")
    case = made()
    results = report.results(case.job, case.template, case.analysed, case.verdicts, known, case.context)

    said = texts(results[-1].dataset)
    assert "Patient record used: identity confirmed." in said
    assert "copd: yes (from HL7 v2 message 7, DG1 2, recorded on 2025-02-01)" in said
    assert "Contradictory in the patient record, not used: smoking: never smoked, but pack years 30." in said


def test_what_the_ledger_keeps_is_what_was_used() -> None:
    items = {
        "pack_years": Item("pack_years", 30.0, "a", PartialDate(2020, 1)),
        "copd": Item("copd", False, "b", date(2025, 2, 1)),
        "smoking_status": Item("smoking_status", "former", "c"),
        "quit_date": Item("quit_date", PartialDate(2010), "d"),
    }
    conflict = Conflict("alcohol", "none, and heavy", (Item("alcohol", "none", "e"),))
    known = RecordUsed(PatientRecord(**items, conflicts=(conflict,)), "used", "words", ("a note",))

    again = record_used.from_json(known.as_json())

    assert again == known
    assert repr(again) == repr(known)


def test_another_record_makes_another_object(tmp_path: Path) -> None:
    engine = engines.engine_for(EngineSettings(), tmp_path)
    job = Job(1, "EMERALD", "2.25.1", 1, "READY", AT, AT)
    image = RecordUsed(report.record_from_header(header()))
    refused = replace(image, decision="name_differs", words="record not used: identity not confirmed")

    def uid(known: RecordUsed) -> str:
        study = pipeline.Study(header(), known, (), ())
        return pipeline.object_context(job, [], study, engine, pipeline.Identity("2.25.1", "0.1.0")).uid("sr")

    assert uid(image) == uid(image) != uid(refused)


def test_a_job_counts_and_tells_its_record_once_and_forgets_it_with_its_results(store: Store) -> None:
    receive(store, range(1, 4))
    settle(store, 1)
    store.claim_job("w", 30)
    row = RecordRow("record_refused", "record not used: identity not confirmed", {"decision": "name_differs"})
    store.save_analysis(1, "w", replace(saved(1, ()), record=row))

    assert store.emr_counts() == {"record_refused": 1}
    assert ("record", row.words) in [(event.event, event.words) for event in store.history(1)]
    assert store.job_record(1) == row.document
    store.note_results_removed(store.removable_results(store.clock().replace(year=2100)))
    assert store.job_record(1) is None


def test_an_emr_is_told_after_a_pacs_has_the_results(store: Store) -> None:
    receive(store, range(1, 4))
    settle(store, 1)
    store.claim_job("w", 30)
    store.save_analysis(1, "w", replace(saved(1, ("ris", "near", "far")), after_others=("ris",)))

    assert store.claim_delivery("d", 30, "ris") is None
    near = store.claim_delivery("d", 30, "near")
    assert near is not None
    store.park_delivery(near.id, "d", "refused")
    assert store.claim_delivery("d", 30, "ris") is None
    far = store.claim_delivery("d", 30, "far")
    assert far is not None
    store.finish_delivery(far.id, "d")
    ris = store.claim_delivery("d", 30, "ris")
    assert ris is not None
    store.finish_delivery(ris.id, "d")
    assert store.job(1).state == "ANALYSED"
    assert store.retry(1)
    again = store.claim_delivery("d", 30, "near")
    assert again is not None
    store.finish_delivery(again.id, "d")
    assert store.job(1).state == "DONE"


def test_an_emr_is_told_at_once_where_there_is_no_pacs(store: Store) -> None:
    receive(store, range(1, 4))
    settle(store, 1)
    store.claim_job("w", 30)
    store.save_analysis(1, "w", replace(saved(1, ("ris",)), after_others=("ris",)))
    assert store.claimable_deliveries() == [1]
    assert store.claim_delivery("d", 30, "ris")


def test_an_emr_is_not_told_of_a_revision_that_is_superseded(store: Store) -> None:
    receive(store, range(1, 4))
    settle(store, 1)
    store.claim_job("w", 30)
    store.save_analysis(1, "w", replace(saved(1, ("pacs", "ris")), after_others=("ris",)))
    analysed(store, range(4, 6))
    assert [each.state for each in store.deliveries(1)] == ["CANCELLED", "CANCELLED"]


FORMER = Item("smoking_status", "former", "Observation/1/_history/1")
NEVER = Item("smoking_status", "never", "Observation/1/_history/2")
PRIOR = Item("prior_imaging", "CT Chest", "DiagnosticReport/1/_history/1")


def with_record(store: Store, known: RecordUsed) -> int:
    """Bring a study to DONE whose analysis used this; returns the job's id."""
    receive(store, range(1, 4))
    settle(store, 1)
    store.claim_job("w", 30)
    row = RecordRow(known.counter, known.words, known.as_json())
    store.save_analysis(1, "w", replace(saved(1, ()), record=row))
    return 1


def known_of(*items: Item, decision: str = "used") -> RecordUsed:
    prior = tuple(item for item in items if item.name == "prior_imaging")
    named = {item.name: item for item in items if item not in prior}
    return RecordUsed(PatientRecord(**named, prior_imaging=prior), decision, "words")


@pytest.mark.parametrize(
    ("before", "now", "revised"),
    [
        (known_of(decision="not_found"), known_of(FORMER), True),
        (known_of(FORMER), known_of(NEVER), True),
        (known_of(FORMER), known_of(replace(FORMER, source="Observation/1/_history/9")), False),
        (known_of(FORMER), known_of(FORMER, PRIOR), False),
        (known_of(FORMER), known_of(decision="unavailable"), False),
        (known_of(FORMER), known_of(decision="name_differs"), False),
        (known_of(decision="name_differs"), known_of(decision="name_differs"), False),
    ],
    ids=["comes", "is corrected", "new version", "own report", "away", "no longer confirmed", "still refused"],
)
def test_a_record_that_comes_after_the_results_opens_a_revision(
    before: RecordUsed, now: RecordUsed, revised: bool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_records.ct_pixels, "read_header", lambda ref: header())
    with_record(store, before)

    opened = late_records.revise(store, lambda of, title: lambda: now, hours=24)

    assert opened == ([2] if revised else [])
    if revised:
        assert (store.job(2).revision, store.job(2).state) == (2, "RECEIVING")
        assert ("revised", "the patient's record says more by now: smoking status") in [
            (event.event, event.words) for event in store.history(2)
        ]
        assert late_records.revise(store, lambda of, title: lambda: now, hours=24) == []


def test_a_record_that_comes_too_late_opens_none(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_records.ct_pixels, "read_header", lambda ref: header())
    with_record(store, known_of(decision="not_found"))
    clock.advance(25 * 3600)
    assert late_records.revise(store, lambda of, title: lambda: known_of(FORMER), hours=24) == []


def test_a_study_whose_images_are_gone_is_not_revised(store: Store, clock: Clock) -> None:
    with_record(store, known_of(decision="not_found"))
    clock.advance(60)
    assert store.removable_received(clock.now)
    assert late_records.revise(store, lambda of, title: lambda: known_of(FORMER), hours=24) == []
    assert store.revise(1, "why") is None
