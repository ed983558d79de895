"""Text → words → numbers: the tokenizer and the vocabulary of the note model. Knows no network."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import BadCard

#: A word, a number (every number is one word) or nothing else: punctuation carries little about a specialty.
TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*")
NUMBER = "<number>"
UNKNOWN = 0  # the number of every word that is not in the vocabulary


def tokenize(text: str) -> list[str]:
    """The words of a text, lower case, numbers as ``<number>``."""
    return [NUMBER if word[0].isdigit() else word for word in TOKEN.findall(text.lower())]


class Vocabulary:
    """Words by number, from 1 on; 0 is any other word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._number = {word: number for number, word in enumerate(self.words, start=1)}

    @classmethod
    def learn(cls, texts: Iterable[str], least_notes: int = 3, most_words: int = 8000) -> "Vocabulary":
        """Words that stand in at least ``least_notes`` of the texts, the most widespread first."""
        notes: Counter[str] = Counter()
        for text in texts:
            notes.update(set(tokenize(text)))
        kept = [word for word, count in notes.items() if count >= least_notes]
        return cls(sorted(kept, key=lambda word: (-notes[word], word))[:most_words])

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """The vocabulary in a JSON list of words; raises BadCard when it is none."""
        try:
            return cls([str(word) for word in json.loads(path.read_text(encoding="utf-8"))])
        except (OSError, ValueError, TypeError) as error:
            raise BadCard(f"no readable vocabulary in {path.parent}") from error

    def write(self, path: Path) -> None:
        """Writes the words as a JSON list."""
        path.write_text(json.dumps(self.words, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        return len(self.words) + 1

    def numbers(self, words: Sequence[str]) -> NDArray[np.int64]:
        """(words,) the number of each word."""
        return np.array([self._number.get(word, UNKNOWN) for word in words], np.int64)


def bag(numbers: NDArray[np.int64], width: int) -> NDArray[np.float32]:
    """(width,) how often each word occurs, folded to ``width`` places, square root taken, of length 1."""
    known = numbers[numbers != UNKNOWN]
    counts = np.sqrt(np.bincount(known % width, minlength=width))
    return np.asarray(counts / max(float(np.linalg.norm(counts)), 1e-9), np.float32)
