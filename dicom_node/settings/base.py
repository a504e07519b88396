"""What all settings are made of: frozen models without unknown fields, and the kinds of text that stand in several."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# PS3.5 section 6.2, VR AE: 16 characters of the default repertoire, no backslash; spaces at the ends do not count.
_AE_TITLE = r"^[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?$"
AeTitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=_AE_TITLE)]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_.-]+$")]


class Frozen(BaseModel):
    """A section of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")
