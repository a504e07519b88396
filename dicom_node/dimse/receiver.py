"""A plain C-STORE receiver that writes what it gets into a folder: the demo's PACS where no other is installed.

It keeps no promise beyond that; the node's own SCP is ``scp.py``.
"""

from pathlib import Path

from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer


class Receiver:
    """Accepts results (SEG, SR, Secondary Capture) and writes each as a Part 10 file.

    Parameters
    ----------
    ae_title : str
        Called AE title that it answers to.
    folder : Path
        Where the files go; made where it is missing.
    """

    def __init__(self, ae_title: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ae = AE(ae_title)
        self._ae.require_called_aet = True
        for sop_class in (Verification, SegmentationStorage, Comprehensive3DSRStorage, SecondaryCaptureImageStorage):
            self._ae.add_supported_context(sop_class)
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> int:
        """Listen on a free loopback port and return it."""
        handlers = [(evt.EVT_C_STORE, self._on_c_store)]
        self._server = self._ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.shutdown()

    def _on_c_store(self, event: evt.Event) -> int:
        path = self._folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        return 0x0000
