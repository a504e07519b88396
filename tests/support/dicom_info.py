"""The standard's tables for dicom-validator, without the network it would fetch them from.

highdicom carries tables of all IODs and modules, made by machine from the standard. They have types and nesting, not
the conditions of 1C and 2C attributes nor enumerated values: dciodvfy has those.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any

from dicom_validator.validator.dicom_info import DicomInfo
from pydicom.datadict import tag_for_keyword

Attributes = dict[str, dict[str, Any]]
_FUNCTIONAL_GROUPS = {"(5200,9229)", "(5200,9230)"}
_CONTENT = "(0040,A730)"
# Relationship Type and Value Type
_EVERY_CONTENT_ITEM = {"(0040,A010)", "(0040,A040)"}


@lru_cache(maxsize=1)
def dicom_info() -> DicomInfo:
    """Return the tables in the form that dicom-validator reads from its cache."""
    iods, modules, attributes = (
        json.loads((files("highdicom") / "_standard" / f"{name}.json").read_text())
        for name in ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    )
    return DicomInfo(
        dictionary={},
        iods={uid: _iod(iod, modules[iod]) for uid, iod in iods.items() if iod in modules},
        modules={name: _module(rows) for name, rows in attributes.items()},
    )


def _iod(title: str, modules: list[dict[str, str]]) -> dict[str, Any]:
    used = {module["key"]: {"ref": module["key"], "use": module["usage"]} for module in modules}
    return {"title": title, "modules": used, "group_macros": {}}


def _module(rows: list[dict[str, Any]]) -> Attributes:
    module: Attributes = {}
    for row in rows:
        level = module
        for sequence in row["path"]:
            level = level[_tag(sequence)].setdefault("items", {})
        if tag := _tag(row["keyword"]):
            level.setdefault(tag, {}).update(name=row["keyword"], type=row["type"])
    for groups in _FUNCTIONAL_GROUPS & module.keys():
        # a macro stands in the shared or in the per-frame groups; dciodvfy knows which
        _relax(module[groups].get("items", {}).values())
    if content := module.get(_CONTENT):
        # PS3.3 C.17.3: a content item holds content items, down to any depth; what it needs depends on its value type
        content["items"] = {**module, **content["items"], _CONTENT: content}
        for level in (module, content["items"]):
            _relax(attribute for tag, attribute in level.items() if tag not in _EVERY_CONTENT_ITEM)
    return module


def _relax(attributes: Iterable[dict[str, Any]]) -> None:
    for attribute in attributes:
        attribute["type"] = {"1": "1C", "2": "2C"}.get(attribute["type"], attribute["type"])


def _tag(keyword: str) -> str:
    """Return a tag as dicom-validator writes it; empty for repeating groups, which no result has."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
