"""Which words of a note spoke for a finding: each word is taken out, everywhere at once, and the model reads what is left.

Model-agnostic, so that votes, recurrent networks and whatever a card brings along are asked alike. A long note has neighbouring
words taken out together, so that it takes no longer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.question import Question
from models.words import NUMBER, TOKEN
from stream.explanation import JSON, Explanation

#: Words that are read in all while one note is explained: (things taken out) times (words of the note).
MOST_READ = 250_000
#: A stored explanation holds so many words, the weightiest.
MOST_KEPT = 300


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word of the text, by its place in it."""

    text: str
    start: int
    end: int


def explain_note(question: Question) -> Explanation:
    """``[{"token", "start", "end", "weight"}]`` in the order of the text; places count characters."""
    text = b"\n".join(question.sample.contents).decode()
    words = words_of(text)
    groups = together(words)
    samples = [replace(question.sample, contents=(blank(text, group).encode(),)) for group in groups]
    scores = question.score([question.sample, *samples])
    weights = {word: (scores[0] - score) / len(group) for group, score in zip(groups, scores[1:], strict=True) for word in group}
    kept = sorted(weights, key=lambda word: -abs(weights[word]))[:MOST_KEPT]
    told = [
        {"token": word.text, "start": word.start, "end": word.end, "weight": round(float(weights[word]), 4)}
        for word in sorted(kept, key=lambda word: word.start)
    ]
    body = json.dumps(told, ensure_ascii=False).encode()
    return Explanation(kind="tokens", label=question.label, method="occlusion", media_type=JSON, body=body)


def words_of(text: str) -> list[Word]:
    """The words that a note model reads, with their places in ``text``."""
    lower = "".join(one.lower() if len(one.lower()) == 1 else one for one in text)  # so that places stay the same
    return [Word(text=text[found.start() : found.end()], start=found.start(), end=found.end()) for found in TOKEN.finditer(lower)]


def together(words: Sequence[Word]) -> list[list[Word]]:
    """The words that are taken out at once: every occurrence of one, in a long note neighbours."""
    if not words:
        return []
    by_word: dict[str, list[Word]] = {}
    for word in words:
        by_word.setdefault(NUMBER if word.text[0].isdigit() else word.text.lower(), []).append(word)
    most = max(MOST_READ // len(words), 1)
    if len(by_word) <= most:
        return list(by_word.values())
    width = -(-len(words) // most)
    return [list(words[start : start + width]) for start in range(0, len(words), width)]


def blank(text: str, words: Sequence[Word]) -> str:
    """The text without these words."""
    parts, at = [], 0
    for word in words:
        parts += [text[at : word.start], " "]
        at = word.end
    return "".join([*parts, text[at:]])
