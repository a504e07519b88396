"""Validators of others that judge our bundles: each a function from a resource to what it complains of.

They run in the environment of the peers. ``fhirkit-rs`` and ``fhir.resources`` know structure and types, pyrofile the
required bindings and the references as well.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.hl7_peers import peers_dir

_PYTHON = str(peers_dir() / "bin" / "python")
Json = dict[str, Any]

_FHIRKIT = """
import json, sys, fhirkit
resources = json.load(sys.stdin)
for resource in resources:
    for issue in fhirkit.validate(resource):
        print(issue)
print(len(resources), "judged")
"""
_FHIR_RESOURCES = """
import json, sys
from fhir.resources.R4B import get_fhir_model_class
resources = json.load(sys.stdin)
for resource in resources:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValueError as error:
        print(str(error).replace(chr(10), " "))
print(len(resources), "judged")
"""
# no package of profiles, and no other resources of the site, are at hand
_UNRESOLVED = "warning reference.unresolved "


def fhirkit(bundles: Sequence[Json]) -> list[str]:
    """Complaints of fhirkit-rs about the bundles and each resource in them."""
    return _python(_FHIRKIT, bundles)


def fhir_resources(bundles: Sequence[Json]) -> list[str]:
    """Complaints of fhir.resources' models of R4B."""
    return _python(_FHIR_RESOURCES, bundles)


def pyrofile(bundles: Sequence[Json], folder: Path) -> list[str]:
    """Errors and warnings of pyrofile; ``folder`` is its scratch space."""
    (folder / "bundles").mkdir()
    for number, bundle in enumerate(bundles):
        (folder / "bundles" / f"{number}.json").write_text(json.dumps(bundle))
    command = [_PYTHON, "-m", "pyrofile_validator", "folder", "bundles", "--json-output", "found.json"]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, timeout=300, check=False)
    found = json.loads((folder / "found.json").read_text())
    assert found["resourceCount"] == sum(1 + len(bundle["entry"]) for bundle in bundles)
    issues = [f"{each['severity']} {each['code']} {each['path']}: {each['message']}" for each in found["issues"]]
    return [issue for issue in issues if not issue.startswith(_UNRESOLVED)]


def _python(program: str, bundles: Sequence[Json]) -> list[str]:
    resources = [resource for bundle in bundles for resource in (bundle, *_resources(bundle))]
    command = [_PYTHON, "-c", program]
    done = subprocess.run(
        command, input=json.dumps(resources), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    *complaints, last = done.stdout.splitlines()
    assert last == f"{len(resources)} judged"
    return complaints


def _resources(bundle: Json) -> list[Json]:
    return [entry["resource"] for entry in bundle["entry"]]
