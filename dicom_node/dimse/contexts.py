"""Which presentation contexts we accept, and under which transfer syntax."""

from collections.abc import Collection, Sequence

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext

VERIFICATION = "1.2.840.10008.1.1"
# PS3.8 section 7.1.1.2: the only application context there is.
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

# Verification has no data set; any of these will do.
UNCOMPRESSED_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
)
STORAGE_SYNTAXES = (
    *UNCOMPRESSED_SYNTAXES,
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless, process 14
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, process 14, selection value 1
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless Only
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000 Lossless Only
    "1.2.840.10008.1.2.4.202",  # High-Throughput JPEG 2000 RPCL Lossless Only
    "1.2.840.10008.1.2.4.203",  # High-Throughput JPEG 2000
)

# Results of PS3.8 table 9-18.
ACCEPTED, NO_REASON, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 2, 3, 4


def answer(proposed: Sequence[PresentationContext], accepted_sop_classes: Collection[str]) -> list[PresentationContext]:
    """Answer each proposed context, in their order.

    Roles other than the default are not answered, so the peer is the SCU everywhere (PS3.7 section D.3.3.4).
    """
    return [_answer(context, accepted_sop_classes) for context in proposed]


def _answer(proposed: PresentationContext, accepted_sop_classes: Collection[str]) -> PresentationContext:
    answered = PresentationContext()
    answered.context_id = proposed.context_id
    answered.abstract_syntax = proposed.abstract_syntax
    # A result item names a transfer syntax even where it is refused; it is not to be read then (PS3.8 9.3.3.2).
    answered.transfer_syntax = [proposed.transfer_syntax[0] if proposed.transfer_syntax else UID("1.2.840.10008.1.2")]
    if proposed.abstract_syntax != VERIFICATION and proposed.abstract_syntax not in accepted_sop_classes:
        answered.result = ABSTRACT_SYNTAX_NOT_SUPPORTED
        return answered
    supported = UNCOMPRESSED_SYNTAXES if proposed.abstract_syntax == VERIFICATION else STORAGE_SYNTAXES
    # The sender's first that we support: what it lists first is mostly what it holds, and DCMTK's storescu, for one,
    # fails on a compressed file when another syntax of the same context is chosen.
    chosen = next((syntax for syntax in proposed.transfer_syntax if syntax in supported), None)
    answered.result = ACCEPTED if chosen else TRANSFER_SYNTAXES_NOT_SUPPORTED
    if chosen:
        answered.transfer_syntax = [chosen]
    return answered
