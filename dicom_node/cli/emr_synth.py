"""``emerald emr synth``: made-up records for nodules, for demos and tests; never for a real patient."""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from dicom_node import node
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.emr_records import open_records
from dicom_node.errors import NodeError
from dicom_node.jobs.store import Store
from dicom_node.settings import RecordServer, Settings
from hl7_emr.domain import Identifier, PartialDate, PersonName
from hl7_emr.errors import EmrError
from hl7_emr.synth import generator, guard
from hl7_emr.synth.domain import Attributes, SyntheticPatient
from hl7_emr.synth.forms import fhir_bundle, hl7_messages

_RATINGS = ("spiculation", "lobulation", "texture", "calcification")


def add(actions: Commands) -> None:
    """Add the action to the parser of ``emerald emr``."""
    parser = actions.add_parser(
        "synth",
        help="make up records for nodules (tests and demos only)",
        description="Make up a patient's record for each line of a file of nodule attributes (LIDC-IDRI ratings). "
        "Each is marked as synthetic. The mode emeralds reads the malignancy: it exists to reproduce a paper, and any "
        "gain from its records is a property of the generator.",
    )
    add_config(parser)
    parser.add_argument("--attributes", type=Path, required=True, help="JSON lines: patient_id and ratings")
    parser.add_argument("--mode", choices=("label-free", "emeralds"), default="label-free", help="(label-free)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (0)")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines: record, FHIR transaction, HL7 v2 messages")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write one line for each line that is read; a patient whom a configured real source knows stops it."""
    settings = load_settings(arguments)
    lines = arguments.attributes.read_text(encoding="utf-8").splitlines()
    with open_records(_with_real_sources(settings), _ledger(settings)) as records:
        numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
        written = [_made(number, line, arguments, (records.knows,)) for number, line in numbered]
    arguments.out.write_text("".join(written), encoding="utf-8")
    print(f"{len(written)} synthetic records ({arguments.mode}, seed {arguments.seed}) in {arguments.out}")
    return 0


def _with_real_sources(settings: Settings) -> Settings:
    """Leave out a FHIR server that is marked as a test; what messages have said counts as real."""
    if not settings.emr.fhir.is_test:
        return settings
    return settings.model_copy(update={"emr": settings.emr.model_copy(update={"fhir": RecordServer()})})


def _ledger(settings: Settings) -> Store | None:
    """Return the ledger, where there is one: the command makes none."""
    made = settings.ledger.url or (settings.data_dir / "ledger.sqlite").exists()
    return node.open_store(settings) if made else None


def _made(number: int, line: str, arguments: argparse.Namespace, real_sources: tuple[guard.Knows, ...]) -> str:
    try:
        told = json.loads(line)
        attributes = _attributes(told)
        guard.check_patient(attributes.identifier, real_sources)
        if arguments.mode == "emeralds":
            made = generator.emeralds(attributes, float(told["malignancy"]), arguments.seed)
        else:
            made = generator.label_free(attributes, arguments.seed)
    except (ValueError, KeyError, TypeError, AttributeError, EmrError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise NodeError(f"{arguments.attributes}, line {number}: {reason}") from error
    return json.dumps(_as_json(made), ensure_ascii=False) + "\n"


def _attributes(told: dict[str, Any]) -> Attributes:
    """Read what is known of a nodule; a malignancy in the line is not looked at."""
    spiculation, lobulation, texture, calcification = (_rating(told, name) for name in _RATINGS)
    names = told.get("name", "")
    family, *given = str(names).split("^") if names else ("",)
    return Attributes(
        Identifier(str(told["patient_id"]), str(told.get("issuer", ""))),
        spiculation,
        lobulation,
        texture,
        calcification,
        studied_on=date.fromisoformat(str(told["study_date"])),
        names=(PersonName(family, tuple(filter(None, given))),) if family else (),
        birth_date=PartialDate.parse(str(told.get("birth_date", ""))),
        sex=str(told.get("sex", "")),
    )


def _rating(told: dict[str, Any], name: str) -> float:
    rating, most = float(told[name]), 6 if name == "calcification" else 5
    if not 1 <= rating <= most:
        raise ValueError(f"{name} is {rating:g}; LIDC-IDRI rates it from 1 to {most}")
    return rating


def _as_json(made: SyntheticPatient) -> dict[str, Any]:
    at = datetime.combine(made.studied_on, time(), tzinfo=UTC)
    record = made.record()
    return {
        "synthetic": True,
        "mode": made.mode,
        "seed": made.seed,
        "patient_id": made.patient.identifiers[0].value,
        "record": dict(_items(made)),
        "conflicts": [{"about": each.name, "words": each.words} for each in record.conflicts],
        "fhir": fhir_bundle(made),
        "hl7": [message.decode("utf-8") for message in hl7_messages(made, at)],
    }


def _items(made: SyntheticPatient) -> Iterator[tuple[str, Any]]:
    for item in made.record().items():
        value = item.value if isinstance(item.value, bool | int | float) else str(item.value)
        yield item.name, {"value": value, "on": str(item.on) if item.on else None, "source": item.source}
