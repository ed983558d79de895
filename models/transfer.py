"""Starting from a trained card's weights instead of fresh ones: fine-tuned, or all but the last layer frozen."""

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.card import VOCABULARY_FILE, WEIGHTS_FILE, Card, check_files
from models.model import Model
from models.words import Vocabulary
from stream.errors import Refused

#: Layers that belong to a task and not to what it is read from: never copied when the findings differ, never frozen.
LAST = "head."
#: Parts that are fitted before the first step, from the training part alone: never copied.
FITTED = ("votes.", "trees.")
EMBEDDING = "embedding.weight"


def transfer(model: Model, origin: Card, *, freeze: bool) -> int:
    """Copies ``origin``'s network into the model's and freezes it if told to; how many tensors it copied.

    The last layer is copied where the classes are the same. Raises Refused when the two are not of one architecture and
    config, or lab cards do not take the same analytes.
    """
    check_files(origin)
    if origin.architecture != model.card.architecture:
        raise Refused(f"{origin.name} is a {origin.architecture}, not a {model.card.architecture}")
    if [one.codes for one in origin.analytes] != [one.codes for one in model.card.analytes]:
        raise Refused(f"{origin.name} takes other analytes")
    taken = _taken(model, origin)
    own = model.network.state_dict()
    if any(name not in own or own[name].shape != tensor.shape for name, tensor in taken.items()):
        raise Refused(f"the weights of {origin.name} do not fit: its config differs")
    model.network.load_state_dict(taken, strict=False)
    if freeze:
        for name, parameter in model.network.named_parameters():
            parameter.requires_grad = name not in taken or name.startswith(LAST)
        if not any(parameter.requires_grad for parameter in model.network.parameters()):
            raise Refused(f"a {model.card.architecture} has no last layer of its own: nothing would be left to train")
    return len(taken)


def _taken(model: Model, origin: Card) -> dict[str, Tensor]:
    """The tensors of ``origin`` that are to be copied, its word vectors word by word."""
    left_out = FITTED if origin.classes == model.card.classes else (*FITTED, LAST)
    told = load_file(origin.folder / WEIGHTS_FILE)
    kept = {name: tensor for name, tensor in told.items() if not name.startswith(left_out)}
    if EMBEDDING in kept:
        kept[EMBEDDING] = _by_word(kept[EMBEDDING], origin, model.network.state_dict()[EMBEDDING], model.card)
    return kept


def _by_word(told: Tensor, origin: Card, own: Tensor, card: Card) -> Tensor:
    """(words, width): the old vector of each word that both vocabularies have, the model's own of the others."""
    if told.shape[1] != own.shape[1]:
        return told
    before, now = (Vocabulary.read(one.folder / VOCABULARY_FILE).words for one in (origin, card))
    place = {word: number for number, word in enumerate(before, start=1)}
    known = [(number, place[word]) for number, word in enumerate(now, start=1) if word in place]
    out = own.clone()
    if known:
        to, come = torch.tensor(known).T
        out[to] = told[come].to(out.device)
    return out
