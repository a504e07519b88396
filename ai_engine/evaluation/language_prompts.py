"""The prompts that are asked: every held-out paraphrase in every held-out pattern, sizes, places, and all together."""

from collections.abc import Iterator

from ai_engine.clip import sentences, wordings
from ai_engine.clip.facts import YES, Attribute, Claim
from ai_engine.clip.prompt import understand
from ai_engine.clip.vocabulary import Vocabulary
from ai_engine.domain import NoduleType
from ai_engine.evaluation.language import About, Asked

CALCIFIED = "calcified"
#: What a mixture is made of, and prompts choose by.
KINDS = {
    **{str(kind): Claim(Attribute.TYPE, str(kind)) for kind in NoduleType},
    CALCIFIED: Claim(Attribute.CALCIFICATION, YES),
}

_SIZES = ("over 10 mm", "of at least 20 mm", "under 8 mm", "between 6 and 15 mm")
_PLACES = ("in the right upper lobe", "in the left lower lobe", "in the left lung")
_SEVERAL = ("in the right upper lobe", "over 10 mm", "in the left lung under 15 mm", "in both lower lobes from 6 mm on")


def asked_of(vocabulary: Vocabulary) -> list[Asked]:
    """List all prompts as an encoder with this vocabulary reads them; raises ``UnknownWords``."""
    return [*_types(vocabulary), *_plain(vocabulary), *_several(vocabulary)]


def _types(vocabulary: Vocabulary) -> Iterator[Asked]:
    for kind, claim in KINDS.items():
        for pattern in wordings.HELD_OUT_PATTERNS:
            for plain, said in zip(
                sentences.paraphrases(claim, "{}"), sentences.paraphrases(claim, pattern), strict=True
            ):
                yield Asked(About.TYPE, kind, plain.text, understand(said.text, vocabulary), said.claims)


def _plain(vocabulary: Vocabulary) -> Iterator[Asked]:
    for about, limits in ((About.SIZE, _SIZES), (About.PLACE, _PLACES)):
        for limit in limits:
            text = f"find any lung nodules {limit}"
            yield Asked(about, limit, text, understand(text, vocabulary))


def _several(vocabulary: Vocabulary) -> Iterator[Asked]:
    for kind, claim in KINDS.items():
        for limit in _SEVERAL:
            for said in sentences.paraphrases(claim):
                prompt = understand(f"{said.text} {limit}", vocabulary)
                yield Asked(About.SEVERAL, f"{kind}, {limit}", prompt.text, prompt, said.claims)
