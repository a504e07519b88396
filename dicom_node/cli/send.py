"""``emerald send``: send a folder of DICOM files to a peer."""

import argparse
from contextlib import suppress
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dicom_node.cli.files import find_instances, print_skipped
from dicom_node.cli.options import Commands, remote_ae
from dicom_node.dimse import scu
from dicom_node.domain import InstanceRef, RemoteAE, ResultRef
from dicom_node.errors import StoreRefused


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "send",
        help="send a folder of DICOM files to a peer",
        description="Send every DICOM file below DIR by C-STORE. Files are sent as they are, without transcoding.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="a folder, or one file")
    parser.add_argument("peer", type=remote_ae, metavar="AE@host:port", help="where to, for example PACS@10.0.0.5:104")
    parser.add_argument("--calling", default="EMERALD_SEND", metavar="AE", help="our AE title (EMERALD_SEND)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="wait for each answer (60 s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Send; 1 when an object was refused."""
    instances, skipped = find_instances(arguments.dir)
    print_skipped(skipped)
    refused = send(instances, arguments.peer, arguments.calling, arguments.timeout)
    for ref, status in refused:
        print(f"refused with 0x{status:04X}: {ref.path}")
    print(f"{len(instances) - len(refused)} of {len(instances)} stored by {arguments.peer}")
    return 1 if refused or not instances else 0


def send(instances: list[InstanceRef], peer: RemoteAE, calling: str, timeout_s: float) -> list[tuple[ResultRef, int]]:
    """Send instances with a progress bar; return those that were refused, with their status.

    Raises
    ------
    PeerError
        The peer cannot be reached, rejects the association or breaks it off.
    """
    refused: list[tuple[ResultRef, int]] = []
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("send", total=len(instances))

        def note(ref: ResultRef, status: int) -> None:
            progress.advance(task)
            if not scu.is_stored(status):
                refused.append((ref, status))

        with suppress(StoreRefused):  # each refusal is in the list
            scu.send(peer, calling, [_as_result(ref) for ref in instances], timeout_s, note)
    return refused


def _as_result(ref: InstanceRef) -> ResultRef:
    return ResultRef(
        path=ref.path,
        kind="instance",
        series_instance_uid=ref.series_instance_uid,
        sop_instance_uid=ref.sop_instance_uid,
        sop_class_uid=ref.sop_class_uid,
        transfer_syntax_uid=ref.transfer_syntax_uid,
    )
