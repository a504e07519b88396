"""The stores of the record over the ledger: what is taken is there after a restart, and only once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dicom_node.emr_store import EmrStore
from dicom_node.jobs.store import Store
from hl7_emr.domain import Identifier, ImagingOrder, PartialDate, Patient, PersonName, SmokingStatus
from hl7_emr.facts import compile_record
from hl7_emr.hl7v2.intake import Rules, examine
from hl7_emr.records import order_of
from hl7_emr.stores import Received
from tests.support.data import needs_data
from tests.support.hl7_messages import SAMPLES, message, msh, obx, pid, sample
from tests.support.hl7_store import MemoryStore

AT = datetime(2026, 1, 1, tzinfo=UTC)
SMOKER = obx("72166-2^Tobacco smoking status^LN", "CWE", "8517006^Former^SCT", on="202501")
QUIT = obx("74010-0^Date quit^LN", "DT", "201903")
ORDER = ("ORC|NW|P1^KIS|F1^RIS", "OBR|1|P1^KIS|F1^RIS|71250^CT Chest^C4", "IPC|A100|RP1|1.2.3")


def received(*segments: str) -> Received:
    return examine(message(*segments), "192.0.2.1", AT, Rules()).received


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Store]:
    store = Store(ledger_url)
    yield store
    store.close()


@pytest.fixture
def store(ledger: Store) -> EmrStore:
    return EmrStore(ledger)


def test_what_was_said_comes_back_value_by_value(store: EmrStore, ledger_url: str) -> None:
    taken = received(msh("ORU^R01"), pid(), SMOKER, QUIT, obx("8664-5^Pack-years^LN", "NM", "30"))
    assert store.take([taken]) == [True]
    other = Store(ledger_url)
    known = EmrStore(other).known(Identifier("4711", "HOSP", type_code="PI"))
    other.close()
    assert known is not None
    (update,) = taken.changes
    assert known.items == update.items  # type: ignore[union-attr]
    assert known.patient == update.patient  # type: ignore[union-attr]
    record = compile_record(known.items, known.patient, known.source, AT.date())
    assert record.smoking_status is not None
    assert record.smoking_status.value == SmokingStatus.FORMER
    assert record.quit_date is not None
    assert record.quit_date.value == PartialDate(2019, 3)


def test_a_message_is_taken_once_and_a_used_control_id_again_with_other_content(store: EmrStore, ledger: Store) -> None:
    first, other = received(msh(), pid()), received(msh(), pid("4712"))
    assert store.take([first, first, other]) == [True, False, True]
    assert store.take([first]) == [False]
    assert ledger.emr_counts() == {"acknowledged": 4, "received": 4, "repeated": 2}


def test_what_is_refused_is_a_dead_letter_with_its_content(store: EmrStore, ledger: Store) -> None:
    bad = received(msh(control_id="M1"))
    store.take([bad, bad])
    (letter,) = ledger.emr_dead_letters()
    assert (letter.control_id, letter.peer, letter.content) == ("M1", "192.0.2.1", message(msh(control_id="M1")))
    assert "PID" in letter.refused
    assert ledger.emr_counts()["rejected"] == 2


def test_a_merge_moves_what_is_known(store: EmrStore) -> None:
    store.take([received(msh("ORU^R01", "1", at="20260101"), pid("1"), SMOKER)])
    store.take([received(msh("ADT^A40", "2", at="20260102"), pid("2", "Roe^Jane"), "MRG|1^^^HOSP^MR")])
    prior, survivor = (store.known(Identifier(number, "HOSP")) for number in ("1", "2"))
    assert prior is not None
    assert survivor is not None
    assert prior.items == ()
    assert [each.value for each in prior.replaced_by] == ["2"]
    assert [item.name for item in survivor.items] == ["smoking_status"]
    assert survivor.patient.names[0].family == "Roe"


def test_what_comes_late_under_a_merged_number_changes_nothing(store: EmrStore) -> None:
    store.take([received(msh("ADT^A40", "2"), pid("2"), "MRG|1^^^HOSP^MR"), received(msh("ORU^R01"), pid("1"), SMOKER)])
    prior = store.known(Identifier("1", "HOSP"))
    assert prior is not None
    assert prior.items == ()
    assert prior.replaced_by


def test_a_merge_back_makes_the_number_a_patients_again(store: EmrStore) -> None:
    store.take(
        [
            received(msh("ORU^R01", "1"), pid("1"), SMOKER),
            received(msh("ADT^A40", "2"), pid("2"), "MRG|1^^^HOSP^MR"),
            received(msh("ADT^A40", "3"), pid("1"), "MRG|2^^^HOSP^MR"),
        ]
    )
    known = store.known(Identifier("1", "HOSP"))
    assert known is not None
    assert known.replaced_by == ()
    assert [item.name for item in known.items] == ["smoking_status"]


def test_a_forgotten_person_is_gone(store: EmrStore) -> None:
    store.take([received(msh("ORU^R01", "1"), pid("1"), SMOKER), received(msh("ADT^A29", "2"), pid("1"))])
    assert store.known(Identifier("1", "HOSP")) is None


def test_the_same_number_of_another_authority_is_another_patient(store: EmrStore) -> None:
    store.take([received(msh("ORU^R01"), pid(), SMOKER)])
    assert store.known(Identifier("4711", "OTHER")) is None
    assert store.known(Identifier("4711")) is None


def found(store: EmrStore, number: str = "4711", study_instance_uid: str = "") -> ImagingOrder | None:
    """Return the order A100 of Jane Doe under a number of hers."""
    jane = Patient((Identifier(number, "HOSP"),), (PersonName("Doe", ("Jane",)),), PartialDate(1950, 2, 3), "F")
    return order_of(store, jane, "A100", study_instance_uid, {})


def test_an_order_is_renewed_and_found(store: EmrStore) -> None:
    store.take([received(msh("OMI^O23", "1"), pid(), *ORDER)])
    store.take([received(msh("OMI^O23", "2"), pid(), "ORC|SC|P1^KIS|F1^RIS||IP", "OBR|1||||", "IPC|A100||")])
    order = found(store)
    assert order is not None
    assert (order.control, order.status, order.study_instance_uid) == ("SC", "IP", "1.2.3")
    assert order.procedure is not None
    assert found(store, study_instance_uid="1.2.3") == order
    assert len(store.orders("A100")) == 1


def test_a_cancelled_order_is_not_found(store: EmrStore) -> None:
    store.take([received(msh("OMI^O23", "1"), pid(), *ORDER)])
    store.take([received(msh("OMI^O23", "2"), pid(), "ORC|CA|P1^KIS|F1^RIS", "IPC|A100|RP1|1.2.3")])
    assert found(store) is None


def test_of_one_accession_number_for_two_patients_each_has_their_own_order(store: EmrStore) -> None:
    store.take([received(msh("OMI^O23", "1"), pid("1"), *ORDER), received(msh("OMI^O23", "2"), pid("2"), *ORDER)])
    orders = [found(store, number) for number in ("1", "2", "3")]
    assert [order and order.control_id for order in orders] == ["1", "2", None]


def test_two_orders_under_one_accession_number_decide_nothing(store: EmrStore) -> None:
    other = [segment.replace("P1", "P2").replace("1.2.3", "1.2.4") for segment in ORDER]
    store.take([received(msh("OMI^O23", "1"), pid(), *ORDER), received(msh("OMI^O23", "2"), pid(), *other)])
    assert found(store) is None
    order = found(store, study_instance_uid="1.2.4")
    assert order is not None
    assert order.control_id == "2"


def test_an_order_under_the_old_number_of_a_patient_is_found_under_the_new_one(store: EmrStore) -> None:
    store.take([received(msh("OMI^O23", "1"), pid("1"), *ORDER)])
    store.take([received(msh("ADT^A40", "2"), pid("2"), "MRG|1^^^HOSP^MR")])
    order = found(store, "2")
    assert order is not None
    assert order.control_id == "1"
    store.take([received(msh("OMI^O23", "3"), pid("2"), *ORDER)])
    order = found(store, "2")
    assert order is not None
    assert order.control_id == "3"


def test_waiting_messages_keep_their_order_and_their_trouble(store: EmrStore, ledger: Store) -> None:
    numbers = [store.add("emr", f"M{i}", b"content", AT) for i in (1, 2, 1)]
    assert numbers == [1, 2, 1]
    store.delay(1, "no answer", AT + timedelta(seconds=5))
    assert store.next_due("emr", AT) is None
    assert store.next_due("other", AT) is None
    due = store.next_due("emr", AT + timedelta(seconds=5))
    assert due is not None
    assert (due.id, due.attempts, due.content) == (1, 1, b"content")
    store.bury(1, "answered AR", AT)
    assert [(row.id, row.last_error) for row in ledger.outbox_dead()] == [(1, "answered AR")]
    ledger.outbox_retry(1, AT)
    due = store.next_due("emr", AT)
    assert due is not None
    assert (due.id, due.attempts) == (1, 0)
    store.sent(1, "AA", AT)
    due = store.next_due("emr", AT)
    assert due is not None
    assert due.id == 2


def test_what_is_old_is_removed(store: EmrStore, ledger: Store) -> None:
    good, bad = received(msh(), pid()), received(msh())
    store.take([good, bad])
    store.sent(store.add("emr", "M1", b"", AT), "AA", AT)
    waiting = store.add("emr", "M2", b"", AT)
    ledger.emr_prune(AT + timedelta(days=1))
    assert ledger.emr_dead_letters() == []
    assert store.take([good]) == [True]
    due = store.next_due("emr", AT)
    assert due is not None
    assert due.id == waiting


@needs_data
def test_the_ledger_and_the_memory_of_the_tests_agree_on_the_shared_messages(store: EmrStore) -> None:
    memory = MemoryStore()
    batch = [examine(sample(path.stem), "peer", AT, Rules()).received for path in sorted(SAMPLES.glob("*.hl7"))]
    for number in range(0, len(batch), 5):
        assert list(store.take(batch[number : number + 5])) == list(memory.take(batch[number : number + 5]))
    assert memory.patients
    for (issuer, value), known in memory.patients.items():
        assert store.known(Identifier(value, issuer)) == known
    for accession_number, orders in memory.by_accession.items():
        assert list(store.orders(accession_number)) == orders
