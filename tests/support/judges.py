"""Programs of others that judge our objects, each as a function from files to the lines that it complains in.

Most exit 0 whatever they find, some even when they fail to start: each wrapper requires the line that says that the
check was made. What is inherent in a judge is filtered by one named entry with its reason, and by nothing else.
"""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_validator.validator.dicom_file_validator import DicomFileValidator
from dicom_validator.validator.validation_result import Status

from tests.support.dicom_info import dicom_info

_BIN = Path(sys.executable).parent
_JAVA = (
    "java",
    # short runs on few cores
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    # JDK 17 limits XPath below what PixelMed's rules need
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-cp",
    "/usr/share/java/pixelmed.jar",
)
PIXELMED = Path("/usr/share/java/pixelmed.jar")


@dataclass(frozen=True)
class Inherent:
    """A complaint that lies in the judge, not in the object."""

    name: str
    pattern: str
    reason: str

    def explains(self, line: str) -> bool:
        return re.search(self.pattern, line) is not None


ACCESSION_NUMBER = Inherent(
    "Accession Number on two levels",
    r"Different information entities for attribute - Element=<AccessionNumber>",
    "dicom3tools' own tables have the attribute in a series module too",
)
LATERALITY = Inherent(
    "Laterality of a SEG",
    r"^Error: GeneralSeriesModule/Laterality/: : Missing conditional attribute$",
    "PixelMed 2022 asks for it although Body Part Examined is not paired",
)
QUALITATIVE = Inherent(
    "qualitative evaluations of a volume",
    r'CODE \((C41144,NCIt,"Texture"|C3672,NCIt,"Calcification"|C28749,NCIt,"Spiculation"|'
    r'1362105002,SCT,"Lung Imaging Reporting and Data System category")\): Content Item not in template$',
    "PixelMed 2022 has TID 1411, an extensible template, without the rows for qualitative evaluations",
)
ONE_PAIR = Inherent(
    "one nodule as a pair of groups",
    r"^Error: Template 1410 PlanarROIMeasurements/.*within 1\.\d+\.2: .*Missing conditional content item$",
    "PixelMed 2022 matches the only TID 1411 group against TID 1410; either group alone, or two pairs, pass",
)
NON_ASCII_NAME = Inherent(
    "non-ASCII person name",
    r"/(PatientName|ReferringPhysicianName)/.*(Value|value)",
    "PixelMed 2022 calls every character beyond ASCII in a person name wrong, whatever Specific Character Set says",
)


def dciodvfy(path: Path, source: Path) -> list[str]:
    """Errors and warnings of dicom3tools' IOD check.

    Patient and study are the source's, so what it says of the same attribute of the source is not our object's fault:
    a name in retired form, attributes that DICOMDIR wants and the source leaves empty.
    """
    own = re.compile(r"needed to build DICOMDIR|Retired Person Name form")
    inherited = {line for line in _dciodvfy(source) if own.search(line)}
    return [line for line in _dciodvfy(path) if line not in inherited]


def _dciodvfy(path: Path) -> list[str]:
    lines = _run(_BIN / "dciodvfy", "-new", path, accept=(0, 1))  # 1: there are errors
    complaints = [line for line in lines if line.startswith(("Error", "Warning"))]
    # the line that is no complaint names the IOD that the object was checked against
    assert len(lines) == len(complaints) + 1, lines
    return complaints


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """Complaints of dicom3tools about entities that differ between instances."""
    return _without(_run(_BIN / "dcentvfy", *paths, accept=(0, 1)), ACCESSION_NUMBER)


def pixelmed_sr(path: Path, *inherent: Inherent) -> list[str]:
    """Errors and warnings of PixelMed's check of a report against its templates."""
    lines = _run(*_JAVA, "com.pixelmed.validate.DicomSRValidator", path)
    assert "Found Root Template TID_1500 (MeasurementReport)" in lines, lines
    assert lines[-1] == "IOD validation complete", lines
    return _without([line for line in lines if line.startswith(("Error", "Warning"))], *inherent)


def pixelmed_instance(path: Path) -> list[str]:
    """Errors and warnings of PixelMed's check of a segmentation against its IOD."""
    lines = _run(*_JAVA, "com.pixelmed.validate.DicomInstanceValidator", path)
    assert "Found Segmentation IOD" in lines, lines
    assert lines[-1] == "IOD validation complete", lines
    return _without([line for line in lines if line.startswith(("Error", "Warning"))], LATERALITY)


def dicom_validator(path: Path, source: Path) -> list[str]:
    """Complaints of dicom-validator: types 1 and 2, attributes that no module has, values against their VR.

    Attributes of the patient are the source's; one that the standard has retired since is not our object's fault.
    """
    of_patient = re.compile(r"\(0010,....\)")
    inherited = {line for line in _dicom_validator(source) if of_patient.search(line)}
    return [line for line in _dicom_validator(path) if line not in inherited]


def _dicom_validator(path: Path) -> list[str]:
    results = DicomFileValidator(dicom_info(), log_level=logging.CRITICAL).validate(path)
    found = results[str(path)]
    assert found.status in (Status.Passed, Status.Failed), found.status
    return [
        f"{module}: {tag} {error.code.name}"
        for module, errors in found.module_errors.items()
        for tag, error in errors.items()
    ]


def dsrdump(path: Path) -> str:
    """Return the report as DCMTK prints it, long texts in full."""
    return "\n".join(_run("/usr/bin/dsrdump", "+Pl", path))


def volumes_in_report(path: Path, folder: Path) -> list[float]:
    """Return the volumes (mm3) that dcmqi reads from a report, one for each nodule; ``folder`` is its scratch space."""
    program("tid1500reader", "--inputDICOM", path, "--outputMetadata", folder / "sr.json")
    groups = json.loads((folder / "sr.json").read_text()).get("Measurements", [])
    items = (item for group in groups for item in group["measurementItems"])
    return [float(item["value"]) for item in items if item["quantity"]["CodeMeaning"] == "Volume"]


def program(name: str, *arguments: str | Path) -> list[str]:
    """Run a program of the test environment and return its lines; it must exit 0."""
    return _run(_BIN / name, *arguments)


def _run(*command: str | Path, accept: Sequence[int] = (0,)) -> list[str]:
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False
    )
    assert done.returncode in accept, done.stdout.decode(errors="replace")
    return [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]


def _without(lines: list[str], *inherent: Inherent) -> list[str]:
    return [line for line in lines if not any(each.explains(line) for each in inherent)]
