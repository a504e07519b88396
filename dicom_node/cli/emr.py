"""``emerald emr ACTION``: the patient's record, each action in a module of its own."""

from dicom_node.cli import emr_lookup, emr_messages, emr_report, emr_synth
from dicom_node.cli.options import Commands

_ACTIONS = (emr_lookup, emr_messages, emr_report, emr_synth)


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "emr",
        help="work with the patient's record",
        description="The patient's record: look it up, read single messages, listen for HL7 v2, make records up.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION", help="what to do")
    for action in _ACTIONS:
        action.add(actions)
