"""``emerald emr ACTION``: the patient's record, each action in a module of its own."""

from dicom_node.cli import emr_messages
from dicom_node.cli.options import Commands

_ACTIONS = (emr_messages,)


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "emr",
        help="work with the patient's record",
        description="The patient's record: read single messages, listen for HL7 v2.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION", help="what to do")
    for action in _ACTIONS:
        action.add(actions)
