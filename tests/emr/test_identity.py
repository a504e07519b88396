"""The wrong patient is never used: ways of almost matching, and ways of writing the same patient differently."""

from dataclasses import replace
from datetime import date

import pytest

from hl7_emr.domain import Identifier, PartialDate, Patient, PersonName
from hl7_emr.identity import Candidate, Decision, Reason, decide

STUDY_DATE = date(2021, 5, 4)
HOSPITAL = "urn:oid:1.2.276.0.76.3.1.1"
AUTHORITIES = {"HOSP": HOSPITAL, "https://hospital.example/mrn": HOSPITAL, "hospital.example": HOSPITAL}
PATIENT_ID = Identifier("00123", universal_id="1.2.276.0.76.3.1.1", universal_id_type="ISO")
ASKED = Patient((PATIENT_ID,), (PersonName("MUELLER", ("HANS",)),), PartialDate(1950, 3, 9), "M")
HELD = Patient(
    (Identifier("00123", universal_id=HOSPITAL, universal_id_type="URI"),),
    (PersonName("Müller", ("Hans",)),),
    PartialDate(1950, 3, 9),
    "M",
)


def judged(asked: Patient = ASKED, *held: Patient | Candidate) -> Decision:
    rows = [each if isinstance(each, Candidate) else Candidate(each, f"Patient/{i}") for i, each in enumerate(held)]
    return decide(asked, rows, STUDY_DATE, AUTHORITIES)


def identified(value: str, system: str = HOSPITAL) -> Patient:
    return replace(HELD, identifiers=(Identifier(value, universal_id=system, universal_id_type="URI"),))


def named(*names: PersonName, of: Patient = HELD) -> Patient:
    return replace(of, names=names)


def asked_as(*names: PersonName) -> Patient:
    return named(*names, of=ASKED)


def pn(family: str, *given: str, **more: str) -> PersonName:
    return PersonName(family, given, **more)


YAMADA = (pn("Yamada", "Tarou", representation="A"), pn("山田", "太郎", representation="I"), pn("やまだ", "たろう"))
KIM = (pn("Hong", "Gildong"), pn("洪", "吉洞"), pn("홍", "길동"))
SURVIVOR = Candidate(identified("777"), "Patient/new")

ALMOST = {
    # the identifier
    "no patient id": (replace(ASKED, identifiers=()), [HELD], Reason.NO_PATIENT_ID),
    "blank patient id": (replace(ASKED, identifiers=(replace(PATIENT_ID, value=" "),)), [HELD], Reason.NO_PATIENT_ID),
    "issuer absent": (replace(ASKED, identifiers=(Identifier("00123"),)), [HELD], Reason.ISSUER_UNKNOWN),
    "issuer unknown to the settings": (
        replace(ASKED, identifiers=(Identifier("00123", universal_id="x", universal_id_type="L"),)),
        [HELD],
        Reason.ISSUER_UNKNOWN,
    ),
    "nobody": (ASKED, [], Reason.NOT_FOUND),
    "leading zeros lost": (ASKED, [identified("123")], Reason.IDENTIFIER_NOT_CONFIRMED),
    "a zero more": (ASKED, [identified("000123")], Reason.IDENTIFIER_NOT_CONFIRMED),
    "prefix of the identifier": (ASKED, [identified("0012")], Reason.IDENTIFIER_NOT_CONFIRMED),
    "digits swapped": (ASKED, [identified("00132")], Reason.IDENTIFIER_NOT_CONFIRMED),
    "case of the identifier": (
        replace(ASKED, identifiers=(replace(PATIENT_ID, value="ab1"),)),
        [identified("AB1")],
        Reason.IDENTIFIER_NOT_CONFIRMED,
    ),
    "other authority": (ASKED, [identified("00123", "urn:oid:1.2.3")], Reason.IDENTIFIER_NOT_CONFIRMED),
    "authority with a digit more": (ASKED, [identified("00123", HOSPITAL + "0")], Reason.IDENTIFIER_NOT_CONFIRMED),
    "identifier without authority": (
        ASKED,
        [replace(HELD, identifiers=(Identifier("00123"),))],
        Reason.IDENTIFIER_NOT_CONFIRMED,
    ),
    "another hospital's local name": (
        replace(ASKED, identifiers=(Identifier("00123", namespace="OTHER"),)),
        [HELD],
        Reason.IDENTIFIER_NOT_CONFIRMED,
    ),
    "two patients with the identifier": (ASKED, [HELD, HELD], Reason.AMBIGUOUS),
    "two patients, one of them with another name": (ASKED, [HELD, named(pn("Schmidt", "Eva"))], Reason.AMBIGUOUS),
    # the state of the record
    "inactive": (ASKED, [Candidate(HELD, "Patient/1", active=False)], Reason.INACTIVE),
    "replaced by one that is gone": (
        ASKED,
        [Candidate(HELD, "Patient/1", replaced=True)],
        Reason.REPLACEMENT_UNRESOLVED,
    ),
    "replaced by somebody else": (
        ASKED,
        [
            Candidate(
                HELD, "Patient/1", replaced=True, replaced_by=replace(SURVIVOR, patient=named(pn("Schmidt", "Eva")))
            )
        ],
        Reason.NAME_DIFFERS,
    ),
    "died before the study": (
        ASKED,
        [Candidate(HELD, "Patient/1", deceased=PartialDate(2020, 12, 30))],
        Reason.DECEASED_BEFORE_STUDY,
    ),
    "born after the study": (
        replace(ASKED, birth_date=PartialDate(2022)),
        [replace(HELD, birth_date=PartialDate(2022))],
        Reason.BORN_AFTER_STUDY,
    ),
    # the name
    "another family name": (ASKED, [named(pn("Schmidt", "Hans"))], Reason.NAME_DIFFERS),
    "a likely misspelling": (asked_as(pn("MEYER", "HANS")), [named(pn("Maier", "Hans"))], Reason.NAME_DIFFERS),
    "a letter less": (asked_as(pn("HOFMANN", "HANS")), [named(pn("Hoffmann", "Hans"))], Reason.NAME_DIFFERS),
    "a brother": (ASKED, [named(pn("Müller", "Heinz"))], Reason.NAME_DIFFERS),
    "a twin sister": (asked_as(pn("Kaya", "Maria")), [named(pn("Kaya", "Marta"))], Reason.NAME_DIFFERS),
    "twins with one name in common": (
        asked_as(pn("Kaya", "Anna", "Maria")),
        [named(pn("Kaya", "Anna", "Sofia"))],
        Reason.NAME_DIFFERS,
    ),
    "another initial": (asked_as(pn("Müller", "K")), [HELD], Reason.NAME_DIFFERS),
    "a nickname": (asked_as(pn("Miller", "Bob")), [named(pn("Miller", "Robert"))], Reason.NAME_DIFFERS),
    "family and given name swapped": (ASKED, [named(pn("Hans", "Müller"))], Reason.NAME_DIFFERS),
    "father and son": (
        asked_as(pn("Miller", "John", suffix="Jr.")),
        [named(pn("Miller", "John", suffix="Sr"))],
        Reason.NAME_DIFFERS,
    ),
    "half of a double name": (asked_as(pn("Smith-Jones", "Ann")), [named(pn("Smith", "Ann"))], Reason.NAME_DIFFERS),
    "another ideograph": (asked_as(*YAMADA), [named(pn("山田", "次郎"), pn("Yamada", "Tarou"))], Reason.NAME_DIFFERS),
    "an ideograph less": (asked_as(*YAMADA), [named(pn("山田", "太"))], Reason.NAME_DIFFERS),
    "another voicing of kana": (asked_as(pn("なかた", "ゆき")), [named(pn("なかだ", "ゆき"))], Reason.NAME_DIFFERS),
    "family name alone": (asked_as(pn("MUELLER")), [HELD], Reason.NAME_NOT_COMPARED),
    "no name in the images": (asked_as(), [HELD], Reason.NAME_NOT_COMPARED),
    "a placeholder for a name": (asked_as(pn("ANONYMOUS")), [named(pn("Anonymous"))], Reason.NAME_NOT_COMPARED),
    "names in scripts that cannot be compared": (
        asked_as(pn("Yamada", "Tarou")),
        [named(pn("山田", "太郎"))],
        Reason.NAME_NOT_COMPARED,
    ),
    # birth date and sex
    "born a day later": (ASKED, [replace(HELD, birth_date=PartialDate(1950, 3, 10))], Reason.BIRTH_DATE_DIFFERS),
    "day and month swapped": (ASKED, [replace(HELD, birth_date=PartialDate(1950, 9, 3))], Reason.BIRTH_DATE_DIFFERS),
    "another year, known alone": (ASKED, [replace(HELD, birth_date=PartialDate(1951))], Reason.BIRTH_DATE_DIFFERS),
    "birth date missing": (ASKED, [replace(HELD, birth_date=None)], Reason.BIRTH_DATE_NOT_COMPARED),
    "a placeholder for a birth date": (
        replace(ASKED, birth_date=PartialDate(1900, 1, 1)),
        [replace(HELD, birth_date=PartialDate(1900, 1, 1))],
        Reason.BIRTH_DATE_NOT_COMPARED,
    ),
    "the other sex": (ASKED, [replace(HELD, sex="F")], Reason.SEX_DIFFERS),
}


@pytest.mark.parametrize("case", ALMOST)
def test_almost_the_patient_is_not_used(case):
    asked, held, reason = ALMOST[case]

    decision = judged(asked, *held)

    assert decision.reason is reason
    assert decision.candidate is None
    assert decision.words == f"record not used: identity not confirmed ({reason.sentence})"


SAME = {
    "umlaut written out": (ASKED, [HELD]),
    "umlaut dropped": (asked_as(pn("MULLER", "HANS")), [HELD]),
    "umlaut decomposed": (asked_as(pn("Mu\u0308ller", "Hans")), [HELD]),
    "sharp s": (asked_as(pn("STRAUSS", "HANS")), [named(pn("Strauß", "Hans"))]),
    "Nordic letters": (asked_as(pn("OESTERGAARD", "SOEREN")), [named(pn("Østergård", "Søren"))]),
    "Polish letters": (asked_as(pn("WALESA", "LECH")), [named(pn("Wałęsa", "Lech"))]),
    "hyphen": (asked_as(pn("SMITH JONES", "ANN")), [named(pn("Smith-Jones", "Ann"))]),
    "apostrophe": (asked_as(pn("OBRIEN", "PAT")), [named(pn("O’Brien", "Pat"))]),
    "particle": (asked_as(pn("VANDERBERG", "JAN")), [named(pn("van der Berg", "Jan"))]),
    "initial": (asked_as(pn("MUELLER", "H.")), [HELD]),
    "second given name on one side": (asked_as(pn("MUELLER", "HANS", "GEORG")), [HELD]),
    "second given name as an initial": (asked_as(pn("MUELLER", "HANS G")), [named(pn("Müller", "Hans", "Georg"))]),
    "double given name": (asked_as(pn("MUELLER", "HANSPETER")), [named(pn("Müller", "Hans-Peter"))]),
    "generation on one side": (ASKED, [named(pn("Müller", "Hans", suffix="Jr."))]),
    "degree as a suffix": (
        asked_as(pn("Müller", "Hans", suffix="MD")),
        [named(pn("Müller", "Hans", suffix="II"))],
    ),
    "maiden name": (asked_as(pn("KRAUSE", "EVA")), [named(pn("Wolf", "Eva"), pn("Krause", "Eva", use="M"))]),
    "alias": (asked_as(pn("KING", "STEVEN")), [named(pn("Koenig", "Stefan"), pn("King", "Steven", use="A"))]),
    "whole name in one piece": (asked_as(pn("MUELLER", "HANS")), [named(pn("Hans Müller"))]),
    "whole name in the family name": (asked_as(pn("MUELLER HANS")), [HELD]),
    "a mononym in two words": (asked_as(pn("Suharto Putra")), [named(pn("SUHARTO PUTRA"))]),
    "ideographic group, other romanisation": (
        asked_as(*YAMADA),
        [named(pn("山田", "太郎"), pn("Yamada", "Taro"))],
    ),
    "ideographs in one piece": (asked_as(*YAMADA), [named(pn("山田 太郎"))]),
    "half-width katakana": (asked_as(pn("ﾔﾏﾀﾞ", "ﾀﾛｳ")), [named(pn("ヤマダ", "タロウ"))]),
    "katakana and hiragana": (asked_as(pn("やまだ", "たろう")), [named(pn("ヤマダ", "タロウ"))]),
    "Korean groups": (asked_as(*KIM), [named(pn("홍", "길동"))]),
    "Cyrillic": (asked_as(pn("ИВАНОВ", "ПЁТР")), [named(pn("Иванов", "Пётр"))]),
    "year of birth only": (ASKED, [replace(HELD, birth_date=PartialDate(1950))]),
    "month of birth only": (replace(ASKED, birth_date=PartialDate(1950, 3)), [HELD]),
    "sex not stated": (replace(ASKED, sex=""), [HELD]),
    "issuer by local name": (replace(ASKED, identifiers=(Identifier("00123", namespace="HOSP"),)), [HELD]),
    "issuer by domain name": (
        replace(ASKED, identifiers=(Identifier("00123", universal_id="hospital.example", universal_id_type="DNS"),)),
        [HELD],
    ),
    "system by another URI of the same authority": (ASKED, [identified("00123", "https://hospital.example/mrn")]),
    "local names on both sides": (
        replace(ASKED, identifiers=(Identifier("00123", namespace="WARD"),)),
        [replace(HELD, identifiers=(Identifier("00123", namespace="WARD"),))],
    ),
    "spaces around the identifier": (replace(ASKED, identifiers=(replace(PATIENT_ID, value=" 00123 "),)), [HELD]),
    "other identifiers beside it": (
        ASKED,
        [replace(HELD, identifiers=(Identifier("9", universal_id="urn:oid:2.9", universal_id_type="URI"), PATIENT_ID))],
    ),
    "other patients in the answer": (ASKED, [identified("00124"), HELD, identified("100123")]),
    "merged into another record": (ASKED, [Candidate(HELD, "Patient/1", replaced=True, replaced_by=SURVIVOR)]),
    "merged record and survivor both returned": (
        ASKED,
        [
            Candidate(HELD, "Patient/1", replaced=True, replaced_by=Candidate(HELD, "Patient/2")),
            Candidate(HELD, "Patient/2"),
        ],
    ),
    "died on the day of the study": (ASKED, [Candidate(HELD, "Patient/1", deceased=PartialDate(2021, 5, 4))]),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_patient_written_differently_is_used(case):
    asked, held = SAME[case]

    decision = judged(asked, *held)

    assert decision.reason is None
    assert decision.candidate is not None


def test_merged_records_that_go_in_circles_are_not_used():
    one = Candidate(HELD, "Patient/1", replaced=True, replaced_by=Candidate(HELD, "Patient/2", replaced=True))
    circle = replace(one, replaced_by=replace(one, source="Patient/2", replaced_by=one))

    assert judged(ASKED, circle).reason is Reason.REPLACEMENT_UNRESOLVED


def test_no_sentence_repeats_a_value_of_the_patient():
    values = ("00123", "Müller", "MUELLER", "1950")

    assert not [reason for reason in Reason for value in values if value in reason.sentence]
