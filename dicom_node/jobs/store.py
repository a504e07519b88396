"""The store: the ledger as the rest of the node sees it. The only SQL of the project is in this folder.

::

    Reception   associations, instances, settle           the SCP, the settle timer
    Facts       what is known of studies in RECEIVING     the settle timer
    Analyses    claim, beat, save, fail                   the analysis worker
    Deliveries  claim, beat, note, finish, delay, park    the delivery worker
    Control     sweep, abandon, retry                     the supervisor, the operator
    Retention   what may be removed                       housekeeping
    EmrRows     the record: received messages, patients, orders, outbox
    Reading     jobs, history, peers, counts              the command line, the report
"""

from dicom_node.jobs.analyses import Analyses
from dicom_node.jobs.control import Control
from dicom_node.jobs.deliveries import Deliveries
from dicom_node.jobs.emr_rows import EmrRows
from dicom_node.jobs.facts import Facts
from dicom_node.jobs.reading import Reading
from dicom_node.jobs.reception import Reception
from dicom_node.jobs.records import Delivery, DeliveryObject, JobStatus, Saved
from dicom_node.jobs.retention import Retention

__all__ = ["Delivery", "DeliveryObject", "JobStatus", "Saved", "Store"]


class Store(Reception, Facts, Analyses, Deliveries, Control, Retention, EmrRows, Reading):
    """The ledger: safe to share between threads, one for each process, many processes on one database."""
