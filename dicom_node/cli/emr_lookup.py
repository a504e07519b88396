"""``emerald emr lookup``: what the node would use of a patient's record, and why not."""

import argparse
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from dicom_node import node
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.emr_records import open_records
from dicom_node.imaging_report import person_names
from hl7_emr.domain import Identifier, Item, PartialDate, Patient
from hl7_emr.records import Lookup


def add(actions: Commands) -> None:
    """Add the action to the parser of ``emerald emr``."""
    parser = actions.add_parser(
        "lookup",
        help="show which record the node would use for a patient, and why",
        description="Look a patient up as the node does for a study. Exits 0 where identity is confirmed, else 1.",
    )
    add_config(parser)
    parser.add_argument("--patient-id", required=True, help="Patient ID (0010,0020)")
    parser.add_argument("--issuer", default="", help="who issued it: a local name, or an OID or URI")
    parser.add_argument("--name", default="", help="Patient's Name as DICOM writes it: FAMILY^GIVEN")
    parser.add_argument("--birth-date", type=_day, help="YYYYMMDD or YYYY-MM-DD, or a part of it")
    parser.add_argument("--sex", choices=("F", "M", "O", ""), default="", help="as in the images")
    parser.add_argument("--study-date", type=date.fromisoformat, help="YYYY-MM-DD; later facts are left out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the decision and the record."""
    settings = load_settings(arguments)
    with open_records(settings, node.open_store(settings)) as records:
        found = records.lookup(_asked(arguments), arguments.study_date)
    if arguments.json:
        print(json.dumps(as_json(found), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_in_words(found)))
    return 0 if found.record is not None else 1


def as_json(found: Lookup) -> dict[str, Any]:
    """Return {match, emr, conflicts, provenance}."""
    decision, record = found.decision, found.record
    match = {
        "used": record is not None,
        "reason": decision.reason.value if decision.reason else None,
        "words": decision.words,
        "compared": {name: outcome.value for name, outcome in decision.compared.items()},
        "unavailable": found.unavailable,
    }
    return {
        "match": match,
        "emr": {item.name: _value(item) for item in record.items()} if record else {},
        "conflicts": [{"about": each.name, "words": each.words} for each in record.conflicts] if record else [],
        "provenance": {
            "patient": decision.candidate.source if decision.candidate else None,
            "synthetic": bool(record and record.synthetic),
            "items": [_provenance(item) for item in record.items()] if record else [],
            "notes": list(found.notes),
        },
    }


def _asked(arguments: argparse.Namespace) -> Patient:
    return Patient(
        (_identifier(arguments.patient_id, arguments.issuer),),
        tuple(person_names(arguments.name)),
        arguments.birth_date,
        arguments.sex if arguments.sex in ("F", "M") else "",
    )


def _identifier(value: str, issuer: str) -> Identifier:
    """Tell an OID and a URI from a local name by their looks."""
    if ":" in issuer:
        return Identifier(value, universal_id=issuer, universal_id_type="URI")
    if issuer.replace(".", "").isdigit():
        return Identifier(value, universal_id=issuer, universal_id_type="ISO")
    return Identifier(value, namespace=issuer)


def _day(text: str) -> PartialDate:
    day = PartialDate.parse(text)
    if day is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no date")
    return day


def _value(item: Item) -> bool | float | str:
    return item.value if isinstance(item.value, bool | int | float) else str(item.value)


def _provenance(item: Item) -> dict[str, Any]:
    return {
        "item": item.name,
        "source": item.source,
        "on": str(item.on) if item.on else None,
        "status": item.status.value,
        "trust": item.trust.value,
        "code": f"{item.code.system} {item.code.code}" if item.code else None,
    }


def _in_words(found: Lookup) -> Iterator[str]:
    yield found.decision.words
    for item in found.record.items() if found.record else ():
        when = f", {item.on}" if item.on else ""
        yield f"  {item.name.replace('_', ' ')}: {_value(item)} ({item.source}{when})"
    for conflict in found.record.conflicts if found.record else ():
        yield f"  not used, contradictory: {conflict.name.replace('_', ' ')}: {conflict.words}"
    for note in found.notes:
        yield f"  note: {note}"
