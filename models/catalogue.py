"""Which cards there are, and how a card becomes a model. Torch is imported only by ``load``."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from models.card import CARD_FILE, BadCard, Card, check_files, read_card
from models.site import SITE_FILE, BadSite, Site, read_sites

if TYPE_CHECKING:
    from models.model import Model

log = logging.getLogger(__name__)

#: The cards that are shipped.
SHIPPED = Path(__file__).parent / "weights"

#: Architecture, as a card names it → the module that has ``build(card, device) -> Model``.
ARCHITECTURES = {
    "residual-cnn": "models.scan",
    "gru-window": "models.lab",
    "bilstm-attention": "models.note",
    "cnn3": "models.textbook",
    "cnn2": "models.textbook",
    "lenet": "models.textbook",
    "lstm128": "models.textbook",
    "rnn": "models.textbook",
    "embed-lstm": "models.embed_lstm",
    "autoencoder": "models.coder",
    "seq2seq": "models.seq2seq",
    "torch-export": "models.foreign",
    "onnx": "models.foreign",
    "monai": "models.foreign",
}


def list_cards(*folders: Path) -> list[Card]:
    """The shipped cards, then those in ``folders`` (each a folder of card folders, or a card's own), by name.

    What a ``site.toml`` in them says of a card's name is put beside the card, as far as it holds for it. Raises BadSite for one
    that says what cannot be.
    """
    sites = {name: site for folder in folders for name, site in read_sites(folder).items()}
    return [_at(card, sites.get(card.name, Site())) for card in plain_cards(*folders)]


def plain_cards(*folders: Path) -> list[Card]:
    """The same as they are, whatever the site says of them: for who does not judge.

    A card in ``folders`` replaces a shipped one of the same name and version. One that cannot be read is passed over: the
    others go on answering.
    """
    cards: dict[tuple[str, str], Card] = {}
    for path in _card_folders(*folders):
        try:
            card = read_card(path)
        except BadCard as error:
            log.warning("passed over: %s", error)
        else:
            cards[card.name, card.version] = card
    return [cards[key] for key in sorted(cards)]


def _at(card: Card, site: Site) -> Card:
    site.check(card.name, card.labels, exclusive=card.exclusive)
    return replace(card, site=site.of(card.labels, exclusive=card.exclusive))


def card_faults(*folders: Path) -> Iterator[str]:
    """What is passed over in ``folders``, in words: cards that cannot be read, and what a ``site.toml`` says of nothing."""
    for path in _card_folders(*folders):
        try:
            read_card(path)
        except BadCard as error:
            yield str(error)
    cards = {card.name: card for card in plain_cards(*folders)}
    for folder in folders:
        try:
            sites = read_sites(folder)
        except BadSite as error:
            yield str(error)
            continue
        for name, site in sites.items():
            card = cards.get(name)
            idle = site.idle(name, card.labels, exclusive=card.exclusive) if card else [f"no card is named {name}"]
            yield from (f"{folder / SITE_FILE}: {words}" for words in idle)


def _card_folders(*folders: Path) -> Iterator[Path]:
    """Those of the shipped cards first."""
    for folder in (SHIPPED, *folders):
        if (folder / CARD_FILE).is_file():
            yield folder
        else:
            yield from sorted(path.parent for path in folder.glob(f"*/{CARD_FILE}"))


def find_card(name: str | Path, *folders: Path) -> Card:
    """The card in the folder ``name``, else the newest one of that name; raises BadCard when there is none."""
    if (Path(name) / CARD_FILE).is_file():
        return read_card(Path(name))
    named = [card for card in list_cards(*folders) if card.name == str(name)]
    if not named:
        raise BadCard(f"no card named {name}")
    return max(named, key=lambda card: _version(card.version))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def build(card: Card, device: str = "cpu") -> "Model":
    """The model of a card with fresh weights; raises BadCard when its architecture is unknown."""
    if card.architecture not in ARCHITECTURES:
        raise BadCard(f"{card.name}: unknown architecture {card.architecture}")
    model: Model = import_module(ARCHITECTURES[card.architecture]).build(card, device)
    return model


def load(card: Card | str | Path, device: str = "cpu") -> "Model":
    """The model of a card (or of its folder, or its name) with its weights on ``device``, digests checked.

    Raises BadCard when a file is not the one that the card pins or the architecture is unknown. ``warm_up`` it next.
    """
    card = card if isinstance(card, Card) else find_card(card)
    check_files(card)
    model = build(card, device)
    model.load_weights()
    return model
