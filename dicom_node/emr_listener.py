"""Settings -> the HL7 v2 listener over the ledger."""

from dicom_node.emr_store import EmrStore
from dicom_node.emr_vocabulary import vocabulary
from dicom_node.errors import SettingsError
from dicom_node.jobs.database import utc_now
from dicom_node.jobs.store import Store
from dicom_node.settings import Settings
from hl7_emr.hl7v2.acknowledgement import Verdict
from hl7_emr.hl7v2.intake import Rules
from hl7_emr.hl7v2.judge import Judge
from hl7_emr.hl7v2.listener import Limits, Listener
from hl7_emr.hl7v2.service import Service, server_tls


def intake_rules(settings: Settings) -> Rules:
    """Return how a message is read here; raises ``SettingsError`` where a code of the site cannot mean what is set."""
    mllp = settings.emr.mllp
    return Rules(mllp.accession_fields, mllp.processing_ids, vocabulary(settings.emr))


def mllp_service(settings: Settings, store: Store, port: int) -> Service:
    """Return the HL7 v2 listener over this ledger, not yet running.

    Raises
    ------
    SettingsError
        The certificate or its key cannot be used, or a code of the site cannot mean what is set.
    """
    mllp = settings.emr.mllp
    try:
        tls = server_tls(mllp.certificate, mllp.key, mllp.client_authority) if mllp.certificate else None
    except OSError as error:
        raise SettingsError("emr.mllp.certificate", f"cannot be used: {error}") from error
    judge = Judge(intake_rules(settings), utc_now, Verdict(mllp.transient_answer[1]))
    limits = Limits(
        max_frame_bytes=mllp.max_message_mb * 1024 * 1024,
        max_connections=mllp.max_connections,
        idle_s=mllp.idle_timeout_s,
        frame_s=mllp.message_timeout_s,
    )
    return Service(Listener(EmrStore(store), judge, limits, tls), mllp.host, port)
