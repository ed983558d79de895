"""The training loops: a network with early stopping on the validation part, and its autoencoder."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoint import Checkpoint, Course
from models.interface import Prepared
from models.model import Model
from models.recipe import Recipe
from models.silent import Silent

#: The most that an example of a rare label counts beside one without it.
MOST_WEIGHT = 10.0

#: Told after every epoch: what is trained, epochs done, epochs at most, validation loss.
Tell = Callable[[str, int, int, float], None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Prepared inputs and what is true of them: (n,) class numbers, (n, labels) of 0 and 1, or what a Silent model learns."""

    prepared: Sequence[Prepared]
    truth: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Mean loss a part over one epoch; the training one with augmentation and dropout."""

    training: float
    validation: float


def class_weights(truth: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(classes,): inverse frequency, 1 on average over the examples, so that each class counts alike.

    Of (n, labels) of 0 and 1: what a positive of each label counts beside a negative, at most MOST_WEIGHT.
    """
    if truth.ndim == 2:
        positive = truth.sum(axis=0)
        return np.asarray(np.clip((len(truth) - positive) / np.maximum(positive, 1.0), 1.0 / MOST_WEIGHT, MOST_WEIGHT))
    count = np.bincount(truth, minlength=classes)
    return len(truth) / (classes * np.maximum(count, 1.0))


def weighted_loss(model: Model, logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy of (n, labels) logits; binary where the card has one label or several may be true."""
    logits = logits.float()
    if model.card.exclusive:
        return functional.cross_entropy(logits, truth, weight, label_smoothing=0.05)
    if model.card.multi_label:
        return functional.binary_cross_entropy_with_logits(logits, truth.float(), pos_weight=weight)
    return functional.binary_cross_entropy_with_logits(logits[:, 0], truth.float(), weight[truth])


def loss_of(model: Model, batch: Sequence[Prepared], truth: Tensor, weight: Tensor) -> Tensor:
    """The loss of one forward pass."""
    if isinstance(model, Silent):
        return model.loss(batch, truth)
    return weighted_loss(model, model.logits(batch), truth, weight)


def fit(
    model: Model, training: Part, validation: Part, *, recipe: Recipe, seed: int, tell: Tell, checkpoint: Checkpoint | None = None
) -> list[Epoch]:
    """Trains the network in place and leaves it with the weights of its best epoch; the losses of every epoch.

    ``checkpoint``: kept after every epoch, and gone on from when it holds this training.
    """
    weight = _weight(model, training)
    course = begin(model.network, recipe, steps=recipe.epochs * -(-len(training.truth) // recipe.batch), seed=seed)
    if checkpoint:
        checkpoint.resume(course)
    while len(course.losses) < recipe.epochs and course.waited < recipe.patience:
        told = _epoch(model, training, weight, recipe=recipe, course=course)
        course.losses.append((told, mean_loss(model, validation, weight, recipe.batch)))
        if course.waited == 0:
            course.best = copy.deepcopy(model.network.state_dict())
        if checkpoint:
            checkpoint.keep(course)
        tell("network", len(course.losses), recipe.epochs, course.losses[-1][1])
    model.network.load_state_dict(course.best)
    return [Epoch(training=told, validation=measured) for told, measured in course.losses]


def refit(model: Model, training: Part, *, recipe: Recipe, epochs: int, seed: int) -> None:
    """Trains the network in place for the first ``epochs`` of the recipe's course, with nothing held back to choose by."""
    weight = _weight(model, training)
    course = begin(model.network, recipe, steps=recipe.epochs * -(-len(training.truth) // recipe.batch), seed=seed)
    for _ in range(epochs):
        _epoch(model, training, weight, recipe=recipe, course=course)


def _weight(model: Model, training: Part) -> Tensor:
    """The class weights on the device; of no use to a Silent model."""
    if isinstance(model, Silent):
        return torch.empty(0)
    return torch.tensor(class_weights(training.truth, len(model.card.classes)), dtype=torch.float32).to(model.device)


def begin(network: nn.Module, recipe: Recipe, *, steps: int, seed: int) -> Course:
    """A training that has not begun: the recipe's optimiser, its learning rate for ``steps`` steps."""
    rate, rng = recipe.learning_rate, np.random.default_rng(seed)
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    if recipe.optimiser == "adamw":
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=recipe.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
        return Course(network=network, optimizer=optimizer, schedule=schedule, rng=rng)
    if recipe.optimiser == "sgd":
        optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    else:
        optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)
    return Course(network=network, optimizer=optimizer, schedule=schedule, rng=rng)


def _epoch(model: Model, training: Part, weight: Tensor, *, recipe: Recipe, course: Course) -> float:
    """One pass over the training part in a new order; its mean loss."""
    _teach(model.network)
    mixed = torch.autocast(model.device.type, torch.bfloat16, enabled=recipe.precision == "bf16")
    losses = []
    for chosen in np.array_split(course.rng.permutation(len(training.truth)), -(-len(training.truth) // recipe.batch)):
        inputs = [recipe.augment(training.prepared[place], course.rng) for place in chosen]
        with mixed:
            loss = loss_of(model, inputs, torch.from_numpy(training.truth[chosen]).to(model.device), weight)
        course.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        course.optimizer.step()
        course.schedule.step()
        losses.append(loss.item())
    model.network.eval()
    return float(np.mean(losses))


def _teach(network: nn.Module) -> None:
    """Training mode; frozen batch norms stay as they are, or their running means would still move."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.BatchNorm2d) and not any(parameter.requires_grad for parameter in own):
            module.eval()


def mean_loss(model: Model, part: Part, weight: Tensor, batch: int) -> float:
    """The loss over a part, without augmentation or dropout, of what the steps train."""
    starts = range(0, len(part.truth), batch)
    truth = torch.from_numpy(part.truth).to(model.device)
    with torch.inference_mode():
        if isinstance(model, Silent):
            sizes = [len(part.truth[start : start + batch]) for start in starts]
            losses = [model.loss(part.prepared[start : start + batch], truth[start : start + batch]).item() for start in starts]
            return float(np.average(losses, weights=sizes))
        logits = torch.cat([model.learning(part.prepared[start : start + batch]) for start in starts])
        return float(weighted_loss(model, logits, truth, weight).item())


def fit_autoencoder(model: Model, training: Part, *, recipe: Recipe, epochs: int, seed: int, tell: Tell) -> None:
    """Trains the autoencoder in place on the training part, as it is; not at all where the recipe has no epochs for it."""
    if not epochs:
        return
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        features = torch.cat([model.features([one]) for one in training.prepared])
    steps = epochs * -(-len(features) // recipe.batch)
    optimizer = torch.optim.AdamW(model.autoencoder.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    model.autoencoder.train()
    for number in range(1, epochs + 1):
        losses = []
        for chosen in np.array_split(rng.permutation(len(features)), -(-len(features) // recipe.batch)):
            loss = model.autoencoder(features[torch.from_numpy(chosen)]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        tell("autoencoder", number, epochs, float(np.mean(losses)))
    model.autoencoder.eval()
