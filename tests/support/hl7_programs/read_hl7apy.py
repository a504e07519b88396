"""hl7apy reads a message from standard input, validates it, and prints its segments and fields as JSON."""

import json
import sys

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

text = sys.stdin.buffer.read().decode("utf-8")
message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True)
message.validate()


def segments(node):
    for child in node.children:
        if child.classname == "Segment":
            yield child
        else:
            yield from segments(child)


print(json.dumps([[segment.name, *(field.to_er7() for field in segment.children)] for segment in segments(message)]))
