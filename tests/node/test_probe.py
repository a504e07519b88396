"""A parked destination resumes when it takes associations again, and not before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_node import node
from dicom_node.settings import parse
from tests.support.ledger import analysed
from tests.support.scripted_peer import RELEASE_RP, ScriptedPeer, Talk


def takes_echo(talk: Talk) -> None:
    talk.accept()
    talk.read_message()
    talk.respond(0x0000, field=0x8030)
    talk.release()


def knows_no_verification(talk: Talk) -> None:
    talk.accept(refuse=lambda sop_class, syntax: True)
    talk.read_pdu()
    talk.socket.sendall(RELEASE_RP)


def rejects(talk: Talk) -> None:
    talk.reject(1, 1, 3)


def is_mute(talk: Talk) -> None:
    talk.read_pdu()
    talk.over.wait()


def breaks_off(talk: Talk) -> None:
    talk.accept()


@pytest.mark.parametrize(
    ("peer", "resumes"),
    [(takes_echo, True), (knows_no_verification, True), (rejects, False), (is_mute, False), (breaks_off, False)],
)
def test_only_a_peer_that_takes_associations_is_sent_to_again(
    peer: Callable[[Talk], None], resumes: bool, tmp_path: Path
) -> None:
    with ScriptedPeer(peer) as remote:
        destination = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": remote.remote.port}
        pipeline = {"called_ae_title": "EMERALD", "destinations": ["pacs"]}
        values = {"data_dir": tmp_path, "destinations": [destination | {"timeout_s": 1}], "pipelines": [pipeline]}
        parts = node.build_parts(parse(values))
        delivery = parts.store.deliveries(analysed(parts.store))[0]
        assert parts.store.claim_delivery("d", 30)
        parts.store.park_target(delivery.id, "d", "rejected")
        node.probe_parked(parts)
        assert remote.n_connections == 1
        assert parts.store.parked_targets() == ([] if resumes else ["pacs"])
        assert bool(parts.store.claimable_deliveries()) == resumes
        parts.store.close()
