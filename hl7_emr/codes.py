"""The codes that the record is read from: which system, what a code says, which field a question belongs to.

One table for HL7 v2 and FHIR, so that the same statement reads the same from both. Sources: US Core (smoking status,
pack-years), C-CDA and IPS value sets, LOINC answer lists, ICD-10-CM. What is not listed says nothing: no code is
guessed from its display.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hl7_emr.domain import AlcoholUse, Code, SmokingStatus

# HL7 table 0396 and what is seen instead of it, in lower case -> the name that we use.
_SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "ln": "LN",
        "loinc": "LN",
        "http://loinc.org": "LN",
        "2.16.840.1.113883.6.1": "LN",
        "sct": "SCT",
        "snm": "SCT",
        "snomed": "SCT",
        "snomedct": "SCT",
        "snomed-ct": "SCT",
        "snomed ct": "SCT",
        "http://snomed.info/sct": "SCT",
        "2.16.840.1.113883.6.96": "SCT",
        "i10": "I10C",
        "i10c": "I10C",
        "i10cm": "I10C",
        "icd10": "I10C",
        "icd-10": "I10C",
        "icd10cm": "I10C",
        "icd-10-cm": "I10C",
        "http://hl7.org/fhir/sid/icd-10-cm": "I10C",
        "http://hl7.org/fhir/sid/icd-10": "I10C",
        "2.16.840.1.113883.6.90": "I10C",
        "2.16.840.1.113883.6.3": "I10C",
        "http://fhir.de/codesystem/bfarm/icd-10-gm": "I10C",
        "ucum": "UCUM",
        "http://unitsofmeasure.org": "UCUM",
        "http://terminology.hl7.org/codesystem/v2-0136": "HL70136",
        "http://terminology.hl7.org/codesystem/v2-0532": "HL70532",
        "dcm": "DCM",
        "http://dicom.nema.org/resources/ontology/dcm": "DCM",
    }
)

# LOINC and SNOMED CT questions -> field of the record. 8663-7 counts packs: see PACKS_PER_DAY.
QUESTIONS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("LN", "72166-2"): "smoking_status",
        ("LN", "11367-0"): "smoking_status",
        ("LN", "8664-5"): "pack_years",
        ("SCT", "401201003"): "pack_years",
        ("SCT", "782516008"): "pack_years",
        ("LN", "64218-1"): "cigarettes_per_day",
        ("LN", "8663-7"): "cigarettes_per_day",
        ("LN", "88029-4"): "smoking_duration_years",
        ("LN", "74010-0"): "quit_date",
        ("LN", "11331-6"): "alcohol",
        ("LN", "74013-4"): "alcohol_drinks_per_day",
        ("LN", "39156-5"): "bmi",
        ("LN", "82589-3"): "education",
        # no fields of the record: a body mass index is made of them
        ("LN", "8302-2"): "height_m",
        ("LN", "29463-7"): "weight_kg",
    }
)
PACKS_PER_DAY = ("LN", "8663-7")
CIGARETTES_PER_PACK = 20

_SMOKING: Mapping[tuple[str, str], SmokingStatus] = MappingProxyType(
    {
        ("SCT", "449868002"): SmokingStatus.CURRENT,  # every day
        ("SCT", "428041000124106"): SmokingStatus.CURRENT,  # some days
        ("SCT", "8517006"): SmokingStatus.FORMER,
        ("SCT", "266919005"): SmokingStatus.NEVER,
        ("SCT", "77176002"): SmokingStatus.CURRENT,  # smoker, how often is not known
        ("SCT", "428071000124103"): SmokingStatus.CURRENT,  # heavy
        ("SCT", "428061000124105"): SmokingStatus.CURRENT,  # light
        # public software reads it as "never", and even as "former": it says neither
        ("SCT", "8392000"): SmokingStatus.NON_SMOKER,
        ("LN", "LA18976-3"): SmokingStatus.CURRENT,
        ("LN", "LA18977-1"): SmokingStatus.CURRENT,
        ("LN", "LA15920-4"): SmokingStatus.FORMER,
        ("LN", "LA18978-9"): SmokingStatus.NEVER,
        ("LN", "LA18979-7"): SmokingStatus.CURRENT,
        ("LN", "LA18981-3"): SmokingStatus.CURRENT,
        ("LN", "LA18982-1"): SmokingStatus.CURRENT,
    }
)

_ALCOHOL: Mapping[tuple[str, str], AlcoholUse] = MappingProxyType(
    {
        ("SCT", "105542008"): AlcoholUse.NONE,
        ("SCT", "228276006"): AlcoholUse.OCCASIONAL,
        ("SCT", "28127009"): AlcoholUse.SOCIAL,
        ("SCT", "86933000"): AlcoholUse.HEAVY,
    }
)

Said = tuple[str, bool | str]

_SNOMED_CONDITIONS: Mapping[str, tuple[Said, ...]] = MappingProxyType(
    {
        "13645005": (("copd", True),),
        "185086009": (("copd", True),),  # chronic obstructive bronchitis
        "87433001": (("emphysema", True),),
        "266987004": (("own_cancer", True),),
        "363358000": (("own_cancer", True),),  # malignant tumour of lung
        "254637007": (("own_cancer", True),),  # non-small cell lung cancer
        "254632001": (("own_cancer", True),),  # small cell lung cancer
        "424132000": (("own_cancer", True),),  # non-small cell lung cancer, TNM stage 1
        "429011007": (("family_history_of_lung_cancer", True),),
    }
)
# SNOMED CT and ICD-10 codes of lung cancer, for the history of relatives.
_LUNG_CANCER = frozenset({"363358000", "254637007", "254632001", "424132000", "93880001"})

# ICD-10-CM, longest prefix first. Not J98.2: interstitial emphysema is another disease.
_ICD_10: tuple[tuple[str, tuple[Said, ...]], ...] = (
    ("F17", (("smoking_status", SmokingStatus.EVER),)),
    ("Z87891", (("smoking_status", SmokingStatus.EVER),)),
    ("Z801", (("family_history_of_lung_cancer", True),)),
    ("Z77090", (("occupational_exposure", "asbestos"),)),
    ("J920", (("occupational_exposure", "asbestos"),)),
    ("J61", (("occupational_exposure", "asbestos"),)),
    ("J41", (("copd", True),)),
    ("J42", (("copd", True),)),
    ("J43", (("emphysema", True),)),
    ("J44", (("copd", True),)),
)
# In situ and uncertain (D00-D48) are no cancer. C30-C39 are the thoracic organs, Z85.1 and Z85.2 their history.
_THORACIC_CHAPTER = range(30, 40)


def system(name: str) -> str:
    """Return our name of a coding system; one that is not known is returned as it came."""
    plain = name.strip().lower().removeprefix("urn:oid:").rstrip("/")
    return _SYSTEMS.get(plain, name.strip())


def question(code: Code) -> str | None:
    """Return the field of the record that a question is about, or None."""
    return QUESTIONS.get((system(code.system), code.code))


def smoking_status(code: Code) -> SmokingStatus | None:
    """Return what an answer says of smoking, or None where it says nothing."""
    return _SMOKING.get((system(code.system), code.code))


def alcohol_use(code: Code) -> AlcoholUse | None:
    """Return what an answer says of alcohol, or None."""
    return _ALCOHOL.get((system(code.system), code.code))


def condition(code: Code) -> tuple[Said, ...]:
    """Return what a diagnosis of the patient says: fields of the record with their values; empty: nothing of use."""
    kind = system(code.system)
    if kind == "SCT":
        return _SNOMED_CONDITIONS.get(code.code, ())
    if kind == "I10C":
        return tuple(_icd_10(code.code))
    return ()


def is_lung_cancer(code: Code) -> bool:
    """Tell whether a diagnosis, of the patient or of a relative, is lung cancer."""
    kind = system(code.system)
    return (kind == "SCT" and code.code in _LUNG_CANCER) or (kind == "I10C" and _plain(code.code).startswith("C34"))


def is_hazard(code: Code) -> bool:
    """Tell whether a question asks for a hazard at work (LOINC 87729-0, HL7 Occupational Data for Health)."""
    return (system(code.system), code.code) == ("LN", "87729-0")


def _plain(icd: str) -> str:
    return icd.replace(".", "").upper()


def _icd_10(icd: str) -> Iterator[Said]:
    plain = _plain(icd)
    for prefix, said in _ICD_10:
        if plain.startswith(prefix):
            yield from said
    chapter = plain[1:3]
    if plain.startswith("C") and chapter.isdigit() and int(chapter) <= 97:
        yield "own_cancer", True
        # C76-C80 are ill-defined, secondary or unspecified sites: where the first one was is not said
        if int(chapter) not in _THORACIC_CHAPTER and not 76 <= int(chapter) <= 80:
            yield "extrathoracic_cancer", True
    if plain.startswith("Z85"):
        yield "own_cancer", True
        # Z85.1 lung and trachea, Z85.2 other organs of the chest, Z85.9 unspecified
        if plain[3:4] not in ("", "1", "2", "9"):
            yield "extrathoracic_cancer", True
