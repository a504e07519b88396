"""One data set on its way in: gathered, written, digested, and proved whole before it gets a name."""

import hashlib
import os
from pathlib import Path

from dicom_node.domain import InstanceRef
from dicom_node.errors import ObjectTooLarge, UidMismatch
from dicom_node.objects import headers, part10
from dicom_node.objects.disk import as_spool_error
from dicom_node.objects.part10 import Announced
from dicom_node.objects.source import OpenFile

# A CT image of 512 x 512 with its header is written at once: fewer, longer writes leave more time to the other threads.
GATHERED_BYTES = 9 << 16
_MB = 1 << 20


class Incoming:
    """One data set that is arriving: a temporary Part 10 file and the digest of what came so far.

    Parameters
    ----------
    gathering : bytearray
        Where bytes wait to be written; of ``GATHERED_BYTES``.

    Attributes
    ----------
    announced : Announced
        What the C-STORE request said of it.
    n_bytes : int
        Bytes of the data set that have come so far.
    """

    def __init__(self, path: Path, announced: Announced, max_bytes: int, gathering: bytearray) -> None:
        self.path = path
        self.announced = announced
        self.n_bytes = 0
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._is_here = True
        self._gathering = memoryview(gathering)
        head = part10.head(announced)
        self._gathering[: len(head)] = head
        self._n_head = self._digest_from = self._filled_to = len(head)
        with as_spool_error():
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def write(self, piece: bytes | memoryview) -> None:
        """Append the next bytes of the data set.

        Raises
        ------
        ObjectTooLarge
            It would grow beyond ``max_object_mb``.
        SpoolError
            The disk did not take it.
        """
        self.n_bytes += len(piece)
        if self.n_bytes > self._max_bytes:
            raise ObjectTooLarge(f"larger than max_object_mb = {self._max_bytes // _MB}")
        left = memoryview(piece)
        while left:
            if self._filled_to == len(self._gathering):
                self._flush()
            taken = left[: len(self._gathering) - self._filled_to]
            self._gathering[self._filled_to : self._filled_to + len(taken)] = taken
            self._filled_to += len(taken)
            left = left[len(taken) :]

    def abort(self) -> None:
        """Forget it: the temporary file is removed. May be called twice, and after the file was kept."""
        self._close()
        if self._is_here:
            self.path.unlink(missing_ok=True)

    def check(self) -> InstanceRef:
        """Write what has come and walk it to its end; returns the reference, its path still the temporary file.

        Raises
        ------
        InstanceUnreadable
            The data set is cut or damaged.
        UidMismatch
            It is not the instance that was announced.
        SpoolError
            The disk did not take it.
        """
        self._flush()
        with as_spool_error():
            written = OpenFile(self._fd, self._n_head)
            walked = headers.walk_data_set(written, self.announced.transfer_syntax_uid, self._n_head, self.n_bytes)
        ref = headers.ref_of(walked, self.path, self._digest.hexdigest())
        if ref.sop_instance_uid != self.announced.sop_instance_uid:
            raise UidMismatch("the SOP Instance UID of the data set is not that of the request")
        if ref.sop_class_uid != self.announced.sop_class_uid:
            raise UidMismatch("the SOP Class UID of the data set is not that of the request")
        return ref

    def sync(self) -> None:
        """Have the file on the disk itself, then close it."""
        with as_spool_error():
            os.fsync(self._fd)
        self._close()

    def was_moved(self) -> None:
        """Take note that the file has its final name: nothing is left to forget."""
        self._is_here = False

    def _flush(self) -> None:
        left = gathered = self._gathering[: self._filled_to]
        with as_spool_error():
            while left:
                left = left[os.write(self._fd, left) :]
            # Linux begins at once to write what it is told will not be needed: the disk works while we digest and walk,
            # and the sync waits for less. Measured here: a quarter less on a busy disk.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._digest.update(gathered[self._digest_from :])
        self._digest_from = self._filled_to = 0

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
