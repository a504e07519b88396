"""What a message changes: demographics, facts, orders, merges; and what is refused."""

from datetime import UTC, date, datetime

import pytest

from hl7_emr.domain import ImagingOrder, Item, PartialDate, PatientRecord, SmokingStatus, Status, Trust
from hl7_emr.facts import compile_record
from hl7_emr.hl7v2.datatypes import timestamp
from hl7_emr.hl7v2.intake import Rules, examine
from hl7_emr.hl7v2.message import read
from hl7_emr.hl7v2.statements import statements
from hl7_emr.stores import Forget, Merge, PatientUpdate
from tests.support.hl7_messages import message, msh, obx, pid

AT = datetime(2026, 1, 1, tzinfo=UTC)
SMOKING = "72166-2^Tobacco smoking status^LN"
NEVER = "266919005^Never smoked tobacco^SCT"
FORMER = "8517006^Former smoker^SCT"
PACK_YEARS = "8664-5^Cigarettes smoked total^LN"


def changes(*segments: str, rules: Rules | None = None) -> tuple[object, ...]:
    found = examine(message(*segments), "127.0.0.1", AT, rules or Rules())
    assert found.error is None, found.error
    return found.received.changes


def refusal(*segments: str, rules: Rules | None = None) -> str:
    found = examine(message(*segments), "127.0.0.1", AT, rules or Rules())
    assert found.error is not None
    assert found.received.changes == ()
    assert found.received.content
    return found.error.address


def items(*segments: str) -> tuple[Item, ...]:
    return statements(read(message(msh("ORU^R01"), pid(), *segments)))


def record(*segments: str, studied_on: date | None = date(2026, 1, 1)) -> PatientRecord:
    return compile_record(items(*segments), studied_on=studied_on)


def value_of(item: Item | None) -> object:
    return item.value if item else None


@pytest.mark.parametrize(
    ("question", "kind", "value", "unit", "field", "expected"),
    [
        (SMOKING, "CWE", NEVER, "", "smoking_status", SmokingStatus.NEVER),
        (SMOKING, "CWE", "LA15920-4^Former smoker^LN", "", "smoking_status", SmokingStatus.FORMER),
        (SMOKING, "CE", "449868002^Smokes daily^SNM", "", "smoking_status", SmokingStatus.CURRENT),
        (SMOKING, "CWE", "X1^local^99KIS^8517006^Former smoker^SCT", "", "smoking_status", SmokingStatus.FORMER),
        ("S1^Smoking^99KIS^72166-2^Tobacco smoking status^LN", "CWE", FORMER, "", "smoking_status", "former"),
        (SMOKING, "CWE", "LA18978-9", "", "smoking_status", SmokingStatus.NEVER),
        (SMOKING, "CWE", "8392000^Non-smoker^SCT", "", "smoking_status", SmokingStatus.NON_SMOKER),
        (SMOKING, "ST", "Former smoker", "", "smoking_status", SmokingStatus.FORMER),
        (SMOKING, "CWE", "266927001^Unknown if ever smoked^SCT", "", "smoking_status", None),
        (SMOKING, "ST", "was told to stop smoking", "", "smoking_status", None),
        (PACK_YEARS, "NM", "32.5", "{PackYears}", "pack_years", 32.5),
        (PACK_YEARS, "NM", "32,5", "", "pack_years", 32.5),
        (PACK_YEARS, "SN", "^30", "1", "pack_years", 30),
        (PACK_YEARS, "SN", ">^30", "1", "pack_years", None),
        (PACK_YEARS, "SN", "^20^-^30", "1", "pack_years", None),
        (PACK_YEARS, "NM", "many", "", "pack_years", None),
        (PACK_YEARS, "NM", "3000", "", "pack_years", None),
        ("64218-1^Cigarettes per day^LN", "NM", "15", "/d", "cigarettes_per_day", 15),
        ("8663-7^Packs per day^LN", "NM", "1.5", "{packs}/d", "cigarettes_per_day", 30),
        ("74010-0^Date quit^LN", "DT", "201903", "", "quit_date", PartialDate(2019, 3)),
        ("74010-0^Date quit^LN", "DT", "20990101", "", "quit_date", None),
        ("39156-5^BMI^LN", "NM", "27.4", "kg/m2", "bmi", 27.4),
        ("39156-5^BMI^LN", "NM", "274", "kg/m2", "bmi", None),
        ("11331-6^Alcohol^LN", "CWE", "105542008^Non-drinker^SCT", "", "alcohol", "none"),
    ],
)
def test_an_observation_is_read(question: str, kind: str, value: str, unit: str, field: str, expected: object) -> None:
    assert value_of(getattr(record(obx(question, kind, value, unit=unit)), field)) == expected


@pytest.mark.parametrize(
    ("code", "field", "expected"),
    [
        ("J43.9^Emphysema^I10C", "emphysema", True),
        ("J98.2^Interstitial emphysema^I10C", "emphysema", None),
        ("J44.1^COPD^I10", "copd", True),
        ("C34.11^Lung cancer^I10C", "own_cancer", True),
        ("C34.11^Lung cancer^I10C", "extrathoracic_cancer", None),
        ("C50.9^Breast cancer^I10C", "extrathoracic_cancer", True),
        ("Z85.3^History of breast cancer^I10C", "extrathoracic_cancer", True),
        ("Z85.118^History of lung cancer^I10C", "extrathoracic_cancer", None),
        ("D12.6^Benign^I10C", "own_cancer", None),
        ("Z80.1^Family history^I10C", "family_history_of_lung_cancer", True),
        ("Z87.891^Nicotine dependence, history^I10C", "ever_smoker", True),
        ("Z77.090^Asbestos^I10C", "occupational_exposure", "asbestos"),
        ("87433001^Emphysema^SCT", "emphysema", True),
        ("J439^Emphysema^I10", "emphysema", True),
        ("J43.9^Emphysema^99LOCAL", "emphysema", None),
    ],
)
def test_a_diagnosis_is_read_by_its_code(code: str, field: str, expected: object) -> None:
    found = record(f"DG1|1||{code}||20240105|F")
    assert value_of(getattr(found, field)) == expected


def test_a_statement_says_where_it_stands() -> None:
    (found,) = items(obx(SMOKING, "CWE", FORMER, on="20251201101500+0100"))
    assert found.source == "HL7 v2 message 1, OBX 1"
    assert found.on == PartialDate(2025, 12, 1)
    assert found.code is not None
    assert (found.code.system, found.code.code) == ("SCT", "8517006")
    assert (found.status, found.trust) == (Status.FINAL, Trust.CODED)


@pytest.mark.parametrize("status", ["W", "D", "X"])
def test_a_withdrawn_result_takes_back_what_was_said(status: str) -> None:
    found = record(obx(SMOKING, "CWE", NEVER), obx(SMOKING, "CWE", NEVER, status=status))
    # both stand in one message, so the second is a statement of its own; what counts is a second message
    said = items(obx(SMOKING, "CWE", NEVER)) + items(obx(SMOKING, "CWE", NEVER, status=status))
    assert found.smoking_status is not None
    assert compile_record(said).smoking_status is None
    assert compile_record(said).ever_smoker is None


def test_a_correction_replaces_what_was_said() -> None:
    said = items(obx(PACK_YEARS, "NM", "300")) + items(obx(PACK_YEARS, "NM", "30", status="C"))
    found = compile_record(said).pack_years
    assert found is not None
    assert (found.value, found.status) == (30, Status.CORRECTED)


@pytest.mark.parametrize("value", ['""', "refused to say", ""])
def test_a_correction_to_nothing_of_use_leaves_nothing(value: str) -> None:
    said = items(obx(PACK_YEARS, "NM", "300")) + items(obx(PACK_YEARS, "NM", value, status="C"))
    assert compile_record(said).pack_years is None


@pytest.mark.parametrize("status", ["N", "I", "O", "S"])
def test_a_result_that_is_none_yet_says_nothing(status: str) -> None:
    assert record(obx(PACK_YEARS, "NM", "30", status=status)).pack_years is None


def test_height_and_weight_make_a_body_mass_index() -> None:
    height, weight = obx("8302-2^Height^LN", "NM", "170", unit="cm"), obx("29463-7^Weight^LN", "NM", "80", unit="kg")
    assert value_of(record(height, weight).bmi) == 27.7
    withdrawn = items(height, weight) + items(obx("8302-2^Height^LN", "NM", "170", unit="cm", status="W"))
    assert compile_record(withdrawn).bmi is None


def test_never_smoker_with_pack_years_is_a_conflict_and_smoking_stays_unknown() -> None:
    found = record(obx(SMOKING, "CWE", NEVER), obx(PACK_YEARS, "NM", "30"))
    assert (found.smoking_status, found.pack_years, found.ever_smoker) == (None, None, None)
    (conflict,) = found.conflicts
    assert conflict.name == "smoking"
    assert conflict.words == "never smoked, but pack years 30"


def test_two_statuses_of_one_day_are_a_conflict() -> None:
    found = record(obx(SMOKING, "CWE", NEVER), obx(SMOKING, "CWE", FORMER))
    assert (found.smoking_status, found.ever_smoker) == (None, None)
    assert [conflict.name for conflict in found.conflicts] == ["smoking_status"]


def test_the_later_of_two_statuses_counts() -> None:
    found = record(obx(SMOKING, "CWE", "449868002^^SCT", on="2015"), obx(SMOKING, "CWE", FORMER, on="202401"))
    assert value_of(found.smoking_status) == SmokingStatus.FORMER
    assert value_of(found.ever_smoker) is True


def test_what_was_recorded_after_the_study_is_not_known_at_the_study() -> None:
    assert record(obx(PACK_YEARS, "NM", "30", on="20260301")).pack_years is None
    assert record(obx(PACK_YEARS, "NM", "30", on="20260301"), studied_on=date(2026, 3, 1)).pack_years is not None


def test_a_deleted_diagnosis_is_none() -> None:
    kept = items("DG1|1||J43.9^^I10C||20240105|F")
    deleted = items("DG1|1||J43.9^^I10C||20240105|F" + "|" * 15 + "D")
    assert value_of(compile_record(kept).emphysema) is True
    assert compile_record(kept + deleted).emphysema is None


def test_an_update_names_what_it_deletes() -> None:
    (found,) = changes(msh(), 'PID|1||4711^^^HOSP^MR||""||""|U')
    assert isinstance(found, PatientUpdate)
    assert found.cleared == {"names", "birth_date", "sex"}


def test_a_maiden_name_and_an_ideographic_name_are_kept_apart() -> None:
    (found,) = changes(msh(), pid(name="Doe^Jane^^^^^L~Roe^Jane^^^^^M~山田^花子^^^^^L^I"))
    assert isinstance(found, PatientUpdate)
    assert [(n.family, n.use, n.representation) for n in found.patient.names] == [
        ("Doe", "L", ""),
        ("Roe", "M", ""),
        ("山田", "L", "I"),
    ]


@pytest.mark.parametrize("event", ["A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47"])
def test_a_merge_is_read(event: str) -> None:
    found = changes(msh(f"ADT^{event}"), pid("1"), "MRG|2^^^HOSP^MR")
    assert isinstance(found[0], Merge)
    assert [(found[0].prior[0].value, found[0].surviving[0].value)] == [("2", "1")]


def test_a_merge_of_several_pairs_keeps_them_apart() -> None:
    found = changes(msh("ADT^A40"), pid("1"), "MRG|2^^^HOSP^MR", pid("3"), "MRG|4^^^HOSP^MR")
    pairs = [(each.prior[0].value, each.surviving[0].value) for each in found if isinstance(each, Merge)]
    assert pairs == [("2", "1"), ("4", "3")]


@pytest.mark.parametrize("event", ["A17", "A20", "A24", "A37", "A44"])
def test_events_about_two_patients_that_join_none_change_nothing(event: str) -> None:
    assert changes(msh(f"ADT^{event}"), pid("1"), pid("2")) == ()


def test_a_deleted_person_is_forgotten() -> None:
    (found,) = changes(msh("ADT^A29"), pid())
    assert isinstance(found, Forget)


@pytest.mark.parametrize(
    ("segments", "address"),
    [
        ([msh("SIU^S12"), pid()], "MSH-9"),
        ([msh(""), pid()], "MSH-9"),
        ([msh(version="3.0"), pid()], "MSH-12"),
        ([msh()], "PID"),
        ([msh(), "PID|1||||Doe^Jane"], "PID-3"),
        ([msh(), pid("1"), pid("2")], "PID"),
        ([msh(), pid("47\0" + "11")], "MSH"),
        ([msh("ORU^R01"), pid("1"), obx(PACK_YEARS, "NM", "30"), pid("2")], "PID"),
        ([msh("ADT^A40"), pid("1")], "MRG"),
        ([msh("ADT^A40"), pid("1"), "MRG|"], "MRG-1"),
        ([msh("ADT^A40"), "MRG|2"], "PID-3"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(segments: list[str], address: str) -> None:
    assert refusal(*segments) == address


def test_a_site_can_refuse_training_messages() -> None:
    assert refusal(msh().replace("|P|", "|T|"), pid(), rules=Rules(processing_ids=("P",))) == "MSH-11"


def order(*segments: str, kind: str = "ORM^O01", rules: Rules | None = None) -> ImagingOrder:
    (found,) = (each for each in changes(msh(kind), pid(), *segments, rules=rules) if isinstance(each, ImagingOrder))
    return found


def test_an_orm_order_is_read() -> None:
    obr = "OBR|1|P1^KIS|F1^RIS|71250^CT Chest^C4|||||||||weight loss|||||A100||||||RAD|||||||C34.9^?Lung cancer^I10C"
    found = order("ORC|NW|P1^KIS|F1^RIS||SC", obr, "ZDS|1.2.3^100^Application^DICOM")
    assert (found.accession_number, found.study_instance_uid) == ("A100", "1.2.3")
    assert (found.control, found.status, found.clinical_information) == ("NW", "SC", "weight loss")
    assert found.reason == "?Lung cancer"
    assert found.placer_order_number is not None
    assert (found.placer_order_number.value, found.placer_order_number.namespace) == ("P1", "KIS")
    assert found.patient.identifiers[0].namespace == "HOSP"


def test_an_omi_order_has_accession_and_study_in_ipc() -> None:
    found = order("ORC|NW|P1", "OBR|1|P1||71250^CT Chest^C4", "IPC|A200|RP1|1.2.3.4|SPS1", kind="OMI^O23")
    assert (found.accession_number, found.study_instance_uid) == ("A200", "1.2.3.4")


def test_a_site_says_where_its_accession_number_is() -> None:
    assert order("ORC|NW|P1", "OBR|1|P1^K|F1|CT", rules=Rules(accession_fields=("OBR-2",))).accession_number == "P1"


def test_two_obr_under_two_orc_are_two_orders() -> None:
    segments = ("ORC|NW|P1", "OBR|1|P1|F1|CT", "ORC|NW|P2", "OBR|2|P2|F2|CT")
    found = [each for each in changes(msh("ORM^O01"), pid(), *segments) if isinstance(each, ImagingOrder)]
    assert [each.accession_number for each in found] == ["F1", "F2"]


def test_an_order_for_the_laboratory_is_no_imaging_order() -> None:
    found = changes(msh("OMG^O19"), pid(), "ORC|NW|P1", "OBR|1|P1|F1|GLUC" + "|" * 20 + "LAB")
    assert not [each for each in found if isinstance(each, ImagingOrder)]


def test_facts_in_an_order_are_the_patients() -> None:
    found = order("ORC|NW|P1", "OBR|1|P1|F1|CT", "DG1|1||J43.9^^I10C||20240105|F")
    assert [item.name for item in found.items] == ["emphysema"]


@pytest.mark.parametrize(("day", "n"), [(date(2024, 1, 4), 0), (date(2024, 1, 5), 0), (date(2024, 1, 6), 1)])
def test_the_study_itself_is_no_prior_imaging(day: date, n: int) -> None:
    obr = "OBR|1|P1|F1|24627-2^CT Chest^LN|||20240105" + "|" * 17 + "RAD|F"
    (update,) = changes(msh("ORU^R01"), pid(), obr)
    assert isinstance(update, PatientUpdate)
    assert len(compile_record(update.items, studied_on=day).prior_imaging) == n


def test_an_imaging_result_is_prior_imaging() -> None:
    segment = "OBR|1|P1|F1|29252-4^CT Chest WO contrast^LN|||20240105" + "|" * 17 + "RAD|F"
    (found,) = changes(msh("ORU^R01"), pid(), segment)
    assert isinstance(found, PatientUpdate)
    assert [(item.name, item.value, item.on) for item in found.items] == [
        ("prior_imaging", "CT Chest WO contrast", PartialDate(2024, 1, 5))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260101120000+0100", datetime(2026, 1, 1, 11, tzinfo=UTC)),
        ("202601011200", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("20260101120000.123-0500", datetime(2026, 1, 1, 17, tzinfo=UTC)),
        ("2026", datetime(2026, 1, 1, tzinfo=UTC)),
        ("20261301", None),
        ("yesterday", None),
        ("00010101000000+1400", None),
        ("20260101120000+9999", None),
    ],
)
def test_times(text: str, expected: datetime | None) -> None:
    assert timestamp(text) == expected
