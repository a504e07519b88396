"""``emerald emr report JOB --dry-run DIR``: what would be sent to the EMR, as files."""

import argparse
import json
from pathlib import Path

from dicom_node import node
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.emr_delivery import report_of, systems_of
from dicom_node.settings import FhirDestination, Settings
from hl7_emr.fhir.results import Systems, transaction
from hl7_emr.hl7v2.results import Addresses, oru


def add(actions: Commands) -> None:
    """Add the action to the parser of ``emerald emr``."""
    parser = actions.add_parser(
        "report",
        help="write what would be sent to the EMR for a job",
        description="Write the results of a job as ORU^R01 and as a FHIR transaction, and send nothing.",
    )
    add_config(parser)
    parser.add_argument("job", type=int, metavar="JOB", help="number of the job")
    parser.add_argument("--dry-run", type=Path, required=True, metavar="DIR", help="folder for the files")
    parser.add_argument(
        "--subject", default="Patient/unconfirmed", help="the patient's record on the FHIR server (Patient/ID)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write ``oru.hl7`` and ``bundle.json``."""
    settings = load_settings(arguments)
    made = report_of(node.open_store(settings), arguments.job)
    folder = arguments.dry_run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "oru.hl7").write_bytes(oru(made, Addresses(), f"EMERALD{arguments.job}"))
    bundle = json.dumps(transaction(made, arguments.subject, _systems(settings)), indent=2, ensure_ascii=False)
    (folder / "bundle.json").write_text(bundle, encoding="utf-8")
    print(f"{folder / 'oru.hl7'} and {folder / 'bundle.json'}: {len(made.findings)} nodules, nothing was sent")
    return 0


def _systems(settings: Settings) -> Systems:
    """Return how the first EMR that speaks FHIR names things."""
    servers = (each for each in settings.emr.destinations if isinstance(each, FhirDestination))
    return next(map(systems_of, servers), Systems())
