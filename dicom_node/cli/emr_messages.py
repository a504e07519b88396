"""``emerald emr parse FILE`` and ``emr listen``: one message read as the node reads it, and the listener by itself."""

import argparse
import json
import logging
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dicom_node import node
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.emr_listener import intake_rules, mllp_service
from dicom_node.errors import NodeError, SettingsError
from hl7_emr.domain import Item, Patient
from hl7_emr.facts import compile_record
from hl7_emr.hl7v2 import batch
from hl7_emr.hl7v2.intake import Rules, examine
from hl7_emr.hl7v2.message import read
from hl7_emr.stores import PatientUpdate

Json = dict[str, Any]
_LOG = logging.getLogger(__name__)


def add(actions: Commands) -> None:
    """Add the actions to the parser of ``emerald emr``."""
    parse = actions.add_parser(
        "parse",
        help="read one HL7 v2 message or FHIR resource",
        description="Print what the node reads from a file: an HL7 v2 message, a batch, or a FHIR resource or bundle.",
    )
    add_config(parse)
    parse.add_argument("file", type=Path, metavar="FILE", help="the message, with or without MLLP framing")
    parse.add_argument("--json", action="store_true", help="print JSON")
    parse.add_argument(
        "--study-date",
        type=date.fromisoformat,
        metavar="YYYY-MM-DD",
        help="weigh the statements as known on that day, and count the age",
    )
    parse.set_defaults(run=run_parse)

    listen = actions.add_parser(
        "listen",
        help="listen for HL7 v2 without the rest of the node",
        description="Take HL7 v2 messages by MLLP into the ledger of data_dir until interrupted.",
    )
    add_config(listen)
    listen.add_argument("--port", type=int, metavar="PORT", help="instead of emr.mllp.port")
    listen.set_defaults(run=run_listen)


def run_parse(arguments: argparse.Namespace) -> int:
    """Read one file; 1 where a message in it would be refused."""
    rules = intake_rules(load_settings(arguments))
    content = arguments.file.read_bytes()
    looks_like_json = content.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{"
    found = (_fhir if looks_like_json else _hl7)(content, arguments.study_date, rules)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))
    return 1 if any(each.get("refused") for each in found) else 0


def run_listen(arguments: argparse.Namespace) -> int:
    """Listen until interrupted."""
    settings = load_settings(arguments)
    port = settings.emr.mllp.port if arguments.port is None else arguments.port
    if not 0 <= port <= 65535:
        raise SettingsError("--port", "is not a port")
    store = node.open_store(settings)
    try:
        with mllp_service(settings, store, port) as service:
            _LOG.info("MLLP on %s:%d", settings.emr.mllp.host, service.port)
            threading.Event().wait()
    except OSError as error:
        raise NodeError(f"MLLP port {port}: {error.strerror or error}") from error
    finally:
        store.close()
    return 0


def _hl7(content: bytes, studied_on: date | None, rules: Rules) -> list[Json]:
    messages = batch.split(content.strip(b"\x0b\x1c\r\n")).messages
    return [_message(each, studied_on, rules) for each in messages]


def _message(content: bytes, studied_on: date | None, rules: Rules) -> Json:
    examined = examine(content, "file", datetime.now(UTC), rules)
    found: Json = {"refused": examined.received.refused, "control_id": examined.received.control_id}
    if examined.error is None:
        message = read(content)
        found |= {"type": message.kind, "event": message.event, "doubts": list(message.doubts)}
    found["changes"] = [{type(change).__name__: _plain(change)} for change in examined.received.changes]
    updates = [change for change in examined.received.changes if isinstance(change, PatientUpdate)]
    found["records"] = [_record(each.items, each.patient, each.source, studied_on) for each in updates]
    return found


def _fhir(content: bytes, studied_on: date | None, rules: Rules) -> list[Json]:
    from hl7_emr.fhir import patient, statements  # noqa: PLC0415 - not needed for HL7 v2

    try:
        whole = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise NodeError(f"this is neither JSON nor HL7 v2: {error}") from error
    entries = [entry.get("resource", {}) for entry in whole.get("entry", [])] or [whole]
    persons = [patient.patient(each) for each in entries if each.get("resourceType") == "Patient"]
    items = statements.statements(entries, studied_on, rules.vocabulary)
    person = persons[0] if len(persons) == 1 else None
    kinds = sorted({str(each.get("resourceType")) for each in entries})
    return [{"refused": "", "resources": kinds, "records": [_record(items, person, "Patient", studied_on)]}]


def _record(items: Sequence[Item], person: Patient | None, source: str, studied_on: date | None) -> Json:
    record = compile_record(items, person, source, studied_on)
    return {name: value for name, value in _plain(record).items() if value not in (None, [], ())}


def _plain(noun: object) -> Json:
    plain: Json = TypeAdapter(type(noun)).dump_python(noun, mode="json")
    return plain


def _lines(found: Sequence[Json]) -> Sequence[str]:
    lines = []
    for each in found:
        lines.append(" ".join(str(each.get(name, "")) for name in ("type", "event", "control_id")).strip() or "FHIR")
        lines += [f"  would be refused: {each['refused']}"] if each["refused"] else []
        lines += [f"  doubt: {words}" for words in each.get("doubts", [])]
        lines += [f"  {name}" for change in each.get("changes", []) for name in change]
        for record in each.get("records", []):
            facts = ((name, value) for name, value in record.items() if isinstance(value, dict) and "value" in value)
            lines += [f"  {name}: {value['value']}" for name, value in facts]
            lines += [f"  conflict, {c['name']}: {c['words']}" for c in record.get("conflicts", [])]
    return lines
