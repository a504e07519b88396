"""A PACS with moods: it rejects associations, refuses objects, or takes them, as the test says at the time."""

import io
from collections import Counter
from collections.abc import Callable

from pydicom.filereader import read_dataset

from tests.support.scripted_peer import RELEASE_RP, ScriptedPeer, Talk

Status = Callable[[str], int]
_ECHO_RQ = 0x0030


class MoodyPacs(ScriptedPeer):
    """Answers C-STORE with the status of its mood.

    Attributes
    ----------
    rejects : bool
        Every association is rejected for good (PS3.8 9.3.4: permanent, by the service user, no reason given).
    status_of : callable
        Modality -> C-STORE status.
    taken : dict
        SOP Instance UID -> content of the data set -> how often it was answered with Success.
    asked : Counter
        Modality -> C-STOREs, whatever the answer.
    """

    def __init__(self) -> None:
        super().__init__(self._talk)
        self.rejects = False
        self.status_of: Status = lambda modality: 0x0000
        self.taken: dict[str, Counter[bytes]] = {}
        self.asked: Counter[str] = Counter()

    def _talk(self, talk: Talk) -> None:
        if self.rejects:
            talk.reject(1, 1, 1)
            return
        talk.accept()
        while True:
            try:
                command, data = talk.read_message()
            except ConnectionError as error:
                if str(error) == "PDU type 5":
                    talk.socket.sendall(RELEASE_RP)
                return
            if command == _ECHO_RQ:
                talk.respond(0x0000, field=0x8030)
            else:
                talk.respond(self._take(data))

    def _take(self, data: bytes) -> int:
        # Results are stored, and so proposed, in Explicit VR Little Endian.
        dataset = read_dataset(io.BytesIO(data), is_implicit_VR=False, is_little_endian=True)
        self.asked[dataset.Modality] += 1
        status = self.status_of(dataset.Modality)
        if status == 0x0000:
            self.taken.setdefault(str(dataset.SOPInstanceUID), Counter())[data] += 1
        return status
