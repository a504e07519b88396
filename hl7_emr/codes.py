"""The codes that the record is read from: which system, what a code says, which field a question belongs to.

One table for HL7 v2 and FHIR, so that the same statement reads the same from both. Sources: US Core (smoking status,
pack-years), C-CDA and IPS value sets, LOINC answer lists, ICD-10-CM. A site's own codes are understood by the code of
these tables that they mean (``Vocabulary``). What is not listed says nothing: no code is guessed from its display.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from hl7_emr.domain import AlcoholUse, Code, SmokingStatus
from hl7_emr.errors import UnknownMeaning

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

# LOINC and SNOMED CT questions -> field of the record. 8663-7 counts packs: see _PACKS_PER_DAY.
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
_PACKS_PER_DAY = ("LN", "8663-7")
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

_YES = frozenset({("SCT", "373066001"), ("SCT", "52101004"), ("LN", "LA33-6"), ("HL70136", "Y"), ("HL70532", "Y")})
_NO = frozenset({("SCT", "373067005"), ("SCT", "2667000"), ("LN", "LA32-8"), ("HL70136", "N"), ("HL70532", "N")})
# LOINC 87729-0, HL7 Occupational Data for Health
_HAZARD = ("LN", "87729-0")
CHEST_CT = (("LN", "29252-4"), ("LN", "24628-0"), ("LN", "24627-2"))

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
    return _SYSTEMS.get(_folded(name), name.strip())


class Vocabulary:
    """The codes that are understood: the tables of this module, and a site's own codes by what they mean.

    Codes are asked about as they came, and stay so in the record.

    Parameters
    ----------
    local : iterable of (Code, Code)
        A site's code, and the code of this module that it means. An OID stands for itself with and without
        ``urn:oid:``; an empty system for codes that come without one.

    Raises
    ------
    UnknownMeaning
        A code means what is not in the tables, means two things, or has a meaning by these tables already.
    """

    def __init__(self, local: Iterable[tuple[Code, Code]] = ()) -> None:
        self._local: dict[tuple[str, str], tuple[str, str]] = {}
        self._names: list[tuple[str, str, tuple[str, str]]] = []
        for code, meaning in local:
            self._add(code, (system(meaning.system), meaning.code))

    def _add(self, code: Code, meant: tuple[str, str]) -> None:
        key, name = (_folded(code.system), code.code), f"{code.system} {code.code}".strip()
        if not _is_known(meant):
            raise UnknownMeaning(name, f"means {' '.join(meant)}, which is no code that the node understands")
        if _is_known((system(code.system), code.code)):
            raise UnknownMeaning(name, "is a standard code: what it means is settled")
        if self._local.setdefault(key, meant) != meant:
            raise UnknownMeaning(name, "means two things")
        self._names.append((code.system.strip(), code.code, meant))

    def is_local(self, code: Code) -> bool:
        """Tell whether a code is one of the site's own that have a meaning."""
        return (_folded(code.system), code.code) in self._local

    def meant(self, code: Code) -> tuple[str, str]:
        """Return system, under our name, and code that a code stands for: itself, unless it is a site's own."""
        return self._local.get((_folded(code.system), code.code)) or (system(code.system), code.code)

    def names_of(self, meanings: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield system, as the site names it, and code of all of its own codes that mean one of these."""
        yield from ((name, code) for name, code, meant in self._names if meant in meanings)

    def question(self, code: Code) -> str | None:
        """Return the field of the record that a question is about, or None."""
        return QUESTIONS.get(self.meant(code))

    def counts_packs(self, code: Code) -> bool:
        """Tell whether the answer to a question is a number of packs, not of cigarettes."""
        return self.meant(code) == _PACKS_PER_DAY

    def smoking_status(self, code: Code) -> SmokingStatus | None:
        """Return what an answer says of smoking, or None where it says nothing."""
        return _SMOKING.get(self.meant(code))

    def alcohol_use(self, code: Code) -> AlcoholUse | None:
        """Return what an answer says of alcohol, or None."""
        return _ALCOHOL.get(self.meant(code))

    def truth(self, answers: Iterable[Code]) -> bool | None:
        """Return what answers say to a question of yes or no; None: nothing, or both."""
        said = {self.meant(code) for code in answers}
        return None if bool(said & _YES) == bool(said & _NO) else bool(said & _YES)

    def condition(self, code: Code) -> tuple[Said, ...]:
        """Return what a diagnosis of the patient says: fields of the record with their values; empty: nothing."""
        return _condition(*self.meant(code))

    def is_lung_cancer(self, code: Code) -> bool:
        """Tell whether a diagnosis, of the patient or of a relative, is lung cancer."""
        return _is_lung_cancer(*self.meant(code))

    def is_hazard(self, code: Code) -> bool:
        """Tell whether a question asks for a hazard at work."""
        return self.meant(code) == _HAZARD

    def is_chest_ct(self, code: Code) -> bool:
        """Tell whether a procedure is a CT of the chest."""
        return self.meant(code) in CHEST_CT


STANDARD_CODES = Vocabulary()


def _folded(name: str) -> str:
    return name.strip().lower().removeprefix("urn:oid:").rstrip("/")


def _is_known(code: tuple[str, str]) -> bool:
    listed = (QUESTIONS, _SMOKING, _ALCOHOL, _YES, _NO, CHEST_CT, (_HAZARD,))
    return any(code in table for table in listed) or bool(_condition(*code)) or _is_lung_cancer(*code)


def _condition(kind: str, code: str) -> tuple[Said, ...]:
    if kind == "SCT":
        return _SNOMED_CONDITIONS.get(code, ())
    return tuple(_icd_10(code)) if kind == "I10C" else ()


def _is_lung_cancer(kind: str, code: str) -> bool:
    return (kind == "SCT" and code in _LUNG_CANCER) or (kind == "I10C" and _plain(code).startswith("C34"))


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
