"""UIDs that repeat: the same facts always give the same UID, so a repeated step writes the same objects.

A UID is ``2.25.`` followed by a name-based UUID (PS3.5 section B.2, RFC 9562 version 5) in the name space of the
installation: two installations never make the same one, one installation never makes two for the same facts.
"""

import json
from uuid import NAMESPACE_OID, UUID, uuid5

# What writes our files, PS3.7 section D.3.3.2: one UID for every release, made once from a random UUID.
IMPLEMENTATION_CLASS_UID = "2.25.195265908719845356867431685701042612534"
IMPLEMENTATION_VERSION_NAME = "EMERALD_NODE"


def derive(installation_uid: str, *facts: str) -> str:
    """Return the UID of these facts in this installation.

    Parameters
    ----------
    installation_uid : str
        UID of the installation, made once and kept.
    *facts : str
        What the UID stands for; their order matters.
    """
    return f"2.25.{uuid5(_name_space(installation_uid), json.dumps(facts)).int}"


def _name_space(installation_uid: str) -> UUID:
    return uuid5(NAMESPACE_OID, installation_uid)
