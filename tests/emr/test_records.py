"""Messages and a FHIR server as one: silence of one source is no objection, a mismatch in one is."""

from dataclasses import replace

import httpx2
import pytest

from hl7_emr.domain import Identifier, Item, PartialDate, SmokingStatus
from hl7_emr.fhir.source import FhirSource
from hl7_emr.identity import Reason
from hl7_emr.records import Records
from hl7_emr.stores import KnownPatient
from tests.emr.test_fhir_source import ASKED, PATIENT, STUDIED, SYSTEM, Server, smoking
from tests.support.fhir_bundles import client

AUTHORITIES = {"HOSP": SYSTEM}
HOSP = Identifier("00123", namespace="HOSP")
PACK_YEARS = Item("pack_years", 30.0, "HL7 v2 message 1, OBX 1", PartialDate(2019, 2))


class Messages:
    """A store of what messages said, by value and local name."""

    def __init__(self, *known):
        self._known = {(name.value, name.namespace): each for name, each in known}

    def known(self, identifier):
        return self._known.get((identifier.value, identifier.namespace))


def known(patient=None, **more):
    return KnownPatient(replace(patient or ASKED, identifiers=(HOSP,)), (PACK_YEARS,), source="message 1", **more)


def records(messages=None, server=None, **more):
    fhir = FhirSource(client(server), AUTHORITIES) if server else None
    return Records(messages, fhir, AUTHORITIES, **more)


def test_with_no_source_nobody_is_known():
    assert records().lookup(ASKED, STUDIED).decision.reason is Reason.NOT_FOUND
    assert not records().knows(HOSP)


def test_statements_of_both_sources_make_one_record():
    found = records(Messages((HOSP, known())), Server(PATIENT, smoking("1", "8517006"))).lookup(ASKED, STUDIED)

    assert (found.record.pack_years.value, found.record.smoking_status.value) == (30, SmokingStatus.FORMER)


def test_a_contradiction_between_sources_is_seen():
    found = records(Messages((HOSP, known())), Server(PATIENT, smoking("1", "266919005"))).lookup(ASKED, STUDIED)

    assert [conflict.name for conflict in found.record.conflicts] == ["smoking"]
    assert found.record.ever_smoker is None


@pytest.mark.parametrize(
    ("messages", "server"),
    [(Messages((HOSP, known())), Server()), (Messages(), Server(PATIENT, smoking("1", "8517006")))],
)
def test_a_source_that_does_not_know_the_patient_is_silent(messages, server):
    assert records(messages, server).lookup(ASKED, STUDIED).record is not None


def test_a_mismatch_in_one_source_speaks_against_all():
    other = {**PATIENT, "birthDate": "1951-01-01"}

    found = records(Messages((HOSP, known())), Server(other)).lookup(ASKED, STUDIED)

    assert (found.record, found.decision.reason) == (None, Reason.BIRTH_DATE_DIFFERS)


def test_a_server_that_fails_is_said_and_the_rest_is_used():
    def broken(request):
        raise httpx2.ConnectError("no", request=request)

    found = records(Messages((HOSP, known())), broken).lookup(ASKED, STUDIED)

    assert found.unavailable
    assert found.record.pack_years.value == 30
    assert found.notes == ("FHIR server: no connection (no)",)
    assert records(Messages(), broken).knows(HOSP)


def test_a_default_issuer_stands_in_where_the_images_name_none():
    unsaid = replace(ASKED, identifiers=(Identifier("00123"),))
    messages = Messages((HOSP, known()))

    assert records(messages).lookup(unsaid, STUDIED).decision.reason is Reason.ISSUER_UNKNOWN
    assert records(messages, default_issuer="HOSP").lookup(unsaid, STUDIED).record is not None


def test_images_with_an_oid_find_messages_with_a_local_name():
    by_oid = Identifier("00123", universal_id="1.2.276.0.76.3.1.1", universal_id_type="ISO")

    found = records(Messages((HOSP, known()))).lookup(replace(ASKED, identifiers=(by_oid,)), STUDIED)

    assert found.record.pack_years.value == 30


def test_after_a_merge_the_survivor_is_the_patient():
    new = Identifier("777", namespace="HOSP")
    merged = KnownPatient(ASKED, replaced_by=(new,))

    found = records(Messages((HOSP, merged), (new, known()))).lookup(ASKED, STUDIED)

    assert found.record.pack_years.value == 30
    assert records(Messages((HOSP, merged))).lookup(ASKED, STUDIED).decision.reason is Reason.NOT_FOUND


def test_whoever_a_source_knows_gets_no_synthetic_record():
    assert records(Messages((HOSP, known()))).knows(HOSP)
    assert records(server=Server(PATIENT)).knows(HOSP)
    assert not records(Messages((HOSP, known())), Server(PATIENT)).knows(Identifier("9", namespace="HOSP"))
