"""Settings -> the codes that the record is read by: the standard ones, and the site's own by what they mean."""

from dicom_node.errors import SettingsError
from dicom_node.settings import EmrSettings, SiteCode
from hl7_emr.codes import Vocabulary
from hl7_emr.domain import Code
from hl7_emr.errors import UnknownMeaning


def vocabulary(emr: EmrSettings) -> Vocabulary:
    """Return the codes that are understood.

    Raises
    ------
    SettingsError
        A code cannot mean what is set; the error names both.
    """
    try:
        return Vocabulary((Code(system, each.code), _meaning(each)) for each in emr.codes for system in each.systems)
    except UnknownMeaning as error:
        raise SettingsError("emr.codes", str(error)) from error


def _meaning(each: SiteCode) -> Code:
    system, code = each.means.replace("|", " ").rsplit(maxsplit=1)
    return Code(system, code)
