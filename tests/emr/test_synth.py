"""Made-up patients: one seed gives the same bytes, three forms say the same, the rates are those of the table."""

import inspect
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from statistics import mean

import pytest

from hl7_emr.domain import Identifier, PartialDate, PatientRecord, PersonName
from hl7_emr.errors import SyntheticRefused
from hl7_emr.fhir.patient import is_synthetic, patient
from hl7_emr.fhir.statements import statements as fhir_statements
from hl7_emr.hl7v2.intake import Rules, examine
from hl7_emr.hl7v2.message import read
from hl7_emr.hl7v2.statements import statements as hl7_statements
from hl7_emr.records import Records
from hl7_emr.synth import generator, guard
from hl7_emr.synth.assumptions import ASSUMPTIONS
from hl7_emr.synth.domain import Attributes, record_of
from hl7_emr.synth.forms import fhir_bundle, hl7_messages
from tests.support import fhir_judges
from tests.support.hl7_peers import needs_peers
from tests.support.hl7_store import MemoryStore

AT = datetime(2021, 5, 4, 12, tzinfo=UTC)


def attributes(number=1, **more):
    """Return the nodule of the mean ratings of LIDC-IDRI."""
    who = Identifier(f"SYN-{number:05}", "TEST", "2.25.77", "ISO")
    return replace(Attributes(who, 1.59, 1.70, 4.42, 6, date(2021, 5, 4)), **more)


def patients(n=4000, **more):
    return [generator.label_free(attributes(number, **more), seed=7) for number in range(n)]


def content(record: PatientRecord):
    """Return what a record says, without where it was read."""
    said = {
        each.name: getattr(record, each.name) for each in fields(record) if each.name not in ("conflicts", "patient")
    }
    known = {name: (item.value, str(item.on)) for name, item in said.items() if hasattr(item, "value")}
    return known, sorted((conflict.name, conflict.words) for conflict in record.conflicts)


def test_a_label_cannot_be_told_to_the_label_free_generator():
    assert list(inspect.signature(generator.label_free).parameters) == ["attributes", "seed"]
    assert "malignancy" not in {each.name for each in fields(Attributes)}


def test_the_same_seed_gives_the_same_bytes_in_any_order():
    def written(number):
        made = generator.label_free(attributes(number), seed=3)
        return json.dumps(fhir_bundle(made)), hl7_messages(made, AT), repr(made.record())

    assert [written(1), written(2)] == [written(2), written(1)][::-1]
    assert generator.label_free(attributes(1), seed=4) != generator.label_free(attributes(1), seed=3)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_another_process():
    program = (
        "from tests.emr.test_synth import attributes, generator, hl7_messages, AT;"
        "print(hl7_messages(generator.label_free(attributes(1), seed=3), AT))"
    )

    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{hl7_messages(generator.label_free(attributes(1), seed=3), AT)}\n".encode()}


@pytest.mark.parametrize("number", range(150))
def test_three_forms_of_a_record_read_back_equal(number):
    made = generator.label_free(attributes(number, spiculation=4), seed=11)
    resources = [entry["resource"] for entry in fhir_bundle(made)["entry"]]
    messages = hl7_messages(made, AT)

    by_fhir = record_of(fhir_statements(resources, made.studied_on), made)
    by_hl7 = record_of([item for each in messages for item in hl7_statements(read(each))], made)

    assert content(by_fhir) == content(made.record())
    assert content(by_hl7) == content(made.record())


def test_a_record_that_came_by_messages_is_known_to_be_made_up():
    given = attributes(birth_date=PartialDate(1950, 3, 9), sex="F", names=(PersonName("Doe", ("Jane",)),))
    made, store = generator.label_free(given, seed=5), MemoryStore()
    store.take([examine(each, "192.0.2.1", AT, Rules()).received for each in hl7_messages(made, AT)])

    found = Records(store).lookup(made.patient, made.studied_on)

    assert found.record is not None
    assert found.record.synthetic
    assert content(found.record) == content(made.record())


def test_the_patient_of_each_form_is_the_one_of_the_images():
    names = (PersonName("O'Brien^&", ("Ann", "Mary")),)
    made = generator.label_free(attributes(names=names, birth_date=PartialDate(1950, 3), sex="F"), seed=1)
    adt, _ = hl7_messages(made, AT)

    read = patient(fhir_bundle(made)["entry"][0]["resource"])
    assert (read.names, read.birth_date, read.sex) == (names, PartialDate(1950, 3), "F")
    assert (read.identifiers[0].value, read.identifiers[0].universal_id) == ("SYN-00001", "urn:oid:2.25.77")
    assert b"|SYN-00001^^^TEST&2.25.77&ISO||O'Brien\\S\\\\T\\^Ann^Mary||195003|F" in adt


def test_everything_is_marked_as_synthetic():
    made = generator.label_free(attributes(), seed=1)

    assert made.record().synthetic
    assert all(item.source == "synthetic (label-free, seed 1)" for item in made.record().items())
    assert all(is_synthetic(entry["resource"]) for entry in fhir_bundle(made)["entry"])
    for message in hl7_messages(made, AT):
        header = message.split(b"\r")[0].split(b"|")
        assert (header[2], header[10]) == (b"EMERALD-SYNTHETIC", b"T")


@pytest.mark.foreign
@pytest.mark.slow
@needs_peers
def test_three_validators_of_others_find_no_fault(tmp_path):
    bundles = [fhir_bundle(generator.label_free(attributes(number, spiculation=4), seed=2)) for number in range(20)]

    assert fhir_judges.fhirkit(bundles) == []
    assert fhir_judges.fhir_resources(bundles) == []
    assert fhir_judges.pyrofile(bundles, tmp_path) == []


def test_what_the_images_say_is_kept():
    given = attributes(birth_date=PartialDate(1950, 3, 9), sex="F", names=(PersonName("Doe", ("Jane",)),))

    made = generator.label_free(given, seed=5)

    assert (made.patient.birth_date, made.patient.sex) == (PartialDate(1950, 3, 9), "F")
    assert made.record().age_years.value == 71


def test_nothing_happens_after_the_study_and_nobody_smokes_before_the_age_of_8():
    for made in patients(300, spiculation=5):
        assert all(each.on < made.studied_on for each in made.statements)
        implausible = [c for c in made.record().conflicts if "before the age" in c.words or "not plausible" in c.words]
        assert not implausible


def share(made, met):
    return mean(bool(met(each)) for each in made)


def values(made, name):
    return [item.value for each in made if (item := getattr(each.record(), name))]


def test_published_values_lie_within_the_stated_tolerances():
    for name, assumed in ASSUMPTIONS.rows():
        if assumed.published is not None:
            assert abs(assumed.value - assumed.published) <= assumed.tolerance, name


@pytest.mark.slow
def test_what_is_drawn_has_the_rates_of_the_table():
    """At 4,000 patients a share of one half has a standard error of 0.8 %."""
    made = patients()
    a = ASSUMPTIONS

    smokers = [each for each in made if values([each], "pack_years") or values([each], "ever_smoker") == [True]]
    assert mean(values(made, "age_years")) == pytest.approx(60.4, abs=0.6)
    assert share(made, lambda each: each.patient.sex == "M") == pytest.approx(0.59, abs=0.025)
    assert mean(values(made, "bmi")) == pytest.approx(a.bmi.value, abs=0.3)
    assert share(made, lambda each: each.record().bmi is None) == pytest.approx(a.missing_bmi.value, abs=0.02)
    assert share(made, lambda each: each.contradictory) == pytest.approx(a.contradiction.value, abs=0.01)
    family = values(made, "family_history_of_lung_cancer")
    assert mean(family) == pytest.approx(a.family_history.value, abs=0.025)
    assert len(family) / len(made) == pytest.approx(1 - a.missing_family_history.value, abs=0.03)
    counts = Counter(values(made, "smoking_status"))
    assert counts["current"] / (counts["current"] + counts["former"]) == pytest.approx(
        a.current_of_ever.value, abs=0.03
    )
    assert share(smokers, lambda each: each.record().pack_years) == pytest.approx(
        1 - a.missing_pack_years.value, abs=0.04
    )


def test_a_planted_contradiction_is_seen_and_not_used():
    contradictory = [each for each in patients(1500) if each.contradictory]

    assert contradictory
    for each in contradictory:
        record = each.record()
        assert record.conflicts
        assert record.ever_smoker is None


@pytest.mark.parametrize(("known", "refused"), [((), False), ((False,), False), ((False, True), True)])
def test_a_patient_of_a_real_source_gets_no_synthetic_record(known, refused):
    sources = [lambda _, answer=answer: answer for answer in known]
    if refused:
        with pytest.raises(SyntheticRefused):
            guard.check_patient(attributes().identifier, sources)
    else:
        guard.check_patient(attributes().identifier, sources)


def test_results_with_a_synthetic_record_go_to_tests_only():
    made = generator.label_free(attributes(), seed=1).record()

    guard.check_destination(made, "lab", is_test=True)
    guard.check_destination(PatientRecord(), "hospital", is_test=False)
    with pytest.raises(SyntheticRefused):
        guard.check_destination(made, "hospital", is_test=False)
