"""Every code that the results use, each said once.

Standard codes only: PS3.16 (DCM), SNOMED CT (SCT), NCI Thesaurus (NCIt), RadLex (RADLEX), the ACR/RSNA common data
elements (RADELEMENT), IBSI, LOINC (LN) and UCUM. The nodule descriptors are coded as the published
DICOM-LIDC-IDRI-Nodules collection codes them. What no standard code says is said in words, never in a private code:
nobody could read it, and the validators warn of it.
"""

from pydicom.sr.coding import Code

from ai_engine.domain import Category, Laterality, Lobe, NoduleType, Zone


def dcm(value: str, meaning: str) -> Code:
    """Return a code of the DICOM Controlled Terminology."""
    return Code(value, "DCM", meaning)


def sct(value: str, meaning: str) -> Code:
    """Return a code of SNOMED CT."""
    return Code(value, "SCT", meaning)


# --- document and observer (TID 1500, 1002, 1004, 1204)
IMAGING_MEASUREMENT_REPORT = dcm("126000", "Imaging Measurement Report")
LANGUAGE = dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Code("en", "RFC5646", "English")
OBSERVER_TYPE = dcm("121005", "Observer Type")
DEVICE = dcm("121007", "Device")
DEVICE_OBSERVER_UID = dcm("121012", "Device Observer UID")
DEVICE_OBSERVER_NAME = dcm("121013", "Device Observer Name")
DEVICE_OBSERVER_MANUFACTURER = dcm("121014", "Device Observer Manufacturer")
DEVICE_OBSERVER_MODEL = dcm("121015", "Device Observer Model Name")
DEVICE_OBSERVER_SERIAL = dcm("121016", "Device Observer Serial Number")
PROCEDURE_REPORTED = dcm("121058", "Procedure reported")
# Of the LOINC chest CT procedures the one that every validator knows.
CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
IMAGE_LIBRARY = dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP = dcm("126200", "Image Library Group")
IMAGING_MEASUREMENTS = dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = dcm("125007", "Measurement Group")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")

# --- image library (TID 1602, 1604)
MODALITY = dcm("121139", "Modality")
CT = dcm("CT", "Computed Tomography")
TARGET_REGION = dcm("123014", "Target Region")
CHEST = sct("51185008", "Chest")
FRAME_OF_REFERENCE_UID = dcm("112227", "Frame of Reference UID")
PIXEL_SPACING_ROWS = dcm("111026", "Horizontal Pixel Spacing")
PIXEL_SPACING_COLUMNS = dcm("111066", "Vertical Pixel Spacing")
SPACING_BETWEEN_SLICES = dcm("112226", "Spacing between slices")

# --- what ran (TID 4019, CID 6042, CID 6047)
ALGORITHM_NAME = dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = dcm("111002", "Algorithm Parameters")
SUMMARY_OF_DETECTIONS = dcm("111064", "Summary of Detections")
SUCCEEDED = dcm("111222", "Succeeded")
FAILED = dcm("111224", "Failed")
NOT_ATTEMPTED = dcm("111225", "Not Attempted")

# CID 7162 Processing Algorithm Families
NEIGHBORHOOD_ANALYSIS = dcm("123101", "Neighborhood Analysis")
ARTIFICIAL_INTELLIGENCE = dcm("123110", "Artificial Intelligence")


def algorithm_family(family: str) -> Code:
    """Return the code of an engine's tier: region growing without weights, or networks."""
    return NEIGHBORHOOD_ANALYSIS if family == "weight-free" else ARTIFICIAL_INTELLIGENCE


# --- a finding (TID 1411, 1410)
TRACKING_IDENTIFIER = dcm("112039", "Tracking Identifier")
TRACKING_UNIQUE_IDENTIFIER = dcm("112040", "Tracking Unique Identifier")
FINDING = dcm("121071", "Finding")
NODULE = sct("27925004", "Nodule")
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = sct("49755003", "Morphologically Abnormal Structure")
FINDING_SITE = sct("363698007", "Finding Site")
LATERALITY = sct("272741003", "Laterality")
TOPOGRAPHICAL_MODIFIER = sct("106233006", "Topographical modifier")
LUNG = sct("39607008", "Lung")
REFERENCED_SEGMENT = dcm("121191", "Referenced Segment")
SOURCE_SERIES_FOR_SEGMENTATION = dcm("121232", "Source series for segmentation")
SOURCE = sct("260753009", "Source")
IMAGE_REGION = dcm("111030", "Image Region")

SIDES = {
    Laterality.LEFT: sct("7771000", "Left"),
    Laterality.RIGHT: sct("24028007", "Right"),
}
ZONES = {
    Zone.UPPER: sct("261183002", "Upper"),
    Zone.MIDDLE: sct("255562008", "Mid"),
    Zone.LOWER: sct("261122009", "Lower"),
}
LOBES = {
    Lobe.RIGHT_UPPER: sct("45653009", "Upper lobe of lung"),
    Lobe.RIGHT_MIDDLE: sct("72481006", "Middle lobe of right lung"),
    Lobe.RIGHT_LOWER: sct("90572001", "Lower lobe of lung"),
    Lobe.LEFT_UPPER: sct("45653009", "Upper lobe of lung"),
    Lobe.LEFT_LOWER: sct("90572001", "Lower lobe of lung"),
}

# --- measurements (CID 7470, 7472, 7461) and derivations (CID 7464)
VOLUME = sct("118565006", "Volume")
DIAMETER = sct("81827009", "Diameter")
LONG_AXIS = sct("103339001", "Long axis")
SHORT_AXIS = sct("103340004", "Short axis")
MAXIMUM_3D_DIAMETER = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
ATTENUATION_COEFFICIENT = dcm("112031", "Attenuation Coefficient")
PROBABILITY_OF_CANCER = dcm("111047", "Probability of cancer")
# 0 is the worst, 100 the best; no standard code says "confidence in an outline" more closely
ANALYSIS_QUALITY_RATING = dcm("111693", "Analysis Quality Rating")
# Not Certainty of Finding (111012, DCM), which is in percent and reads as a probability.
SCORE = sct("246262008", "Score")
# A concept of its own for the solid part: readers that skip modifiers must not take it for the whole nodule.
SOLID_PART_SIZE = Code("RDE1303", "RADELEMENT", "Solid component size")
VOLUME_FROM_VOXELS = Code("YEKZ", "IBSI", "Volume from Voxel Summation")
SOLID_PART = Code("RID50154", "RADLEX", "solid component of part-solid pulmonary nodule")
DERIVATION = dcm("121401", "Derivation")
MEAN = sct("373098007", "Mean")
STANDARD_DEVIATION = sct("386136009", "Standard Deviation")
MINIMUM = sct("255605001", "Minimum")
MAXIMUM = sct("56851009", "Maximum")

# --- descriptors
TEXTURE = Code("C41144", "NCIt", "Texture")
CALCIFICATION = Code("C3672", "NCIt", "Calcification")
SPICULATION = Code("C28749", "NCIt", "Spiculation")
YES = sct("373066001", "Yes")
NO = sct("373067005", "No")
NODULE_TYPES = {
    NoduleType.SOLID: Code("RID50151", "RADLEX", "solid pulmonary nodule"),
    NoduleType.PART_SOLID: Code("RID50152", "RADLEX", "part-solid pulmonary nodule"),
    NoduleType.GROUND_GLASS: Code("RID50153", "RADLEX", "non-solid pulmonary nodule"),
}

# --- Lung-RADS v2022: SNOMED CT names the question, RadElement set RDES267 the answers
LUNG_RADS = sct("1362105002", "Lung Imaging Reporting and Data System category")


def _rade(value: int, meaning: str) -> Code:
    return Code(f"RDE1702.{value}", "RADELEMENT", f"Lung-RADS {meaning}")


_LUNG_RADS_JUXTAPLEURAL = _rade(5, "2: benign, juxtapleural nodule")
_LUNG_RADS_NO_NODULE = _rade(3, "1: negative for lung nodules")
_LUNG_RADS_ANY_TYPE = {
    "1": _rade(4, "1: negative, nodule is benign"),
    "4X": _rade(25, "4X: category 3 or 4, increased suspicion of cancer"),
}
_LUNG_RADS_BY_TYPE = {
    ("2", NoduleType.SOLID): _rade(6, "2: benign, solid nodule"),
    ("2", NoduleType.PART_SOLID): _rade(7, "2: benign, part solid nodule"),
    ("2", NoduleType.GROUND_GLASS): _rade(8, "2: benign, non-solid nodule"),
    ("3", NoduleType.SOLID): _rade(11, "3: probably benign, solid nodule"),
    ("3", NoduleType.PART_SOLID): _rade(12, "3: probably benign, part solid nodule"),
    ("3", NoduleType.GROUND_GLASS): _rade(13, "3: probably benign, non-solid nodule"),
    ("4A", NoduleType.SOLID): _rade(16, "4A: suspicious, solid nodule"),
    ("4A", NoduleType.PART_SOLID): _rade(17, "4A: suspicious, part solid nodule"),
    ("4B", NoduleType.SOLID): _rade(21, "4B: very suspicious, solid nodule"),
    ("4B", NoduleType.PART_SOLID): _rade(22, "4B: very suspicious, part solid nodule"),
}


def lung_rads(category: Category, nodule_type: NoduleType | None) -> Code | None:
    """Return the coded answer, or None where RadElement has none for this category and type of nodule.

    Parameters
    ----------
    nodule_type : NoduleType or None
        Of the nodule that decides; None where there is no nodule.
    """
    value = category.value or ""
    if nodule_type is None:
        return _LUNG_RADS_NO_NODULE if value == "1" else None
    if value == "2" and "juxtapleural" in category.because.lower():
        return _LUNG_RADS_JUXTAPLEURAL
    return _LUNG_RADS_ANY_TYPE.get(value) or _LUNG_RADS_BY_TYPE.get((value, nodule_type))


# --- what is said in words
CONCLUSION = dcm("121077", "Conclusion")
COMMENT = dcm("121106", "Comment")
HISTORY = Code("11329-0", "LN", "History")

# --- segmentation and derivation
SEGMENTATION = dcm("113076", "Segmentation")
SOURCE_FOR_PROCESSING = dcm("121322", "Source image for image processing operation")
# CID 7005. The AI Results profile calls the purpose "Processing Algorithm"; its placeholder was never seen with a
# final code, so the nearest standard code is used and the description says "Processing Algorithm".
PROCESSING_EQUIPMENT = dcm("109102", "Processing Equipment")

# --- units (UCUM)
MM = Code("mm", "UCUM", "millimeter")
MM3 = Code("mm3", "UCUM", "cubic millimeter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "percent")
OF_100 = Code("{0:100}", "UCUM", "range: 0:100")
NO_UNITS = Code("1", "UCUM", "no units")
