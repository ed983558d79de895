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
from models.model import Model, Prepared
from models.recipe import Augment, Recipe

#: Told after every epoch: what is trained, epochs done, epochs at most, validation loss.
Tell = Callable[[str, int, int, float], None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Prepared inputs and their class numbers, (n,)."""

    prepared: Sequence[Prepared]
    truth: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Mean loss a part over one epoch; the training one with augmentation and dropout."""

    training: float
    validation: float


def class_weights(truth: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(classes,): inverse frequency, 1 on average over the examples, so that each class counts alike."""
    count = np.bincount(truth, minlength=classes)
    return len(truth) / (classes * np.maximum(count, 1.0))


def loss_of(model: Model, batch: Sequence[Prepared], truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy of one forward pass; binary where the card has one label."""
    return weighted_loss(model, model.logits(batch), truth, weight)


def weighted_loss(model: Model, logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """The loss of (n, labels) logits."""
    if model.card.exclusive:
        return functional.cross_entropy(logits, truth, weight, label_smoothing=0.05)
    return functional.binary_cross_entropy_with_logits(logits[:, 0], truth.float(), weight[truth])


def fit(
    model: Model,
    training: Part,
    validation: Part,
    *,
    recipe: Recipe,
    epochs: int,
    seed: int,
    tell: Tell,
    checkpoint: Checkpoint | None = None,
) -> list[Epoch]:
    """Trains the network in place and leaves it with the weights of its best epoch; the losses of every epoch.

    ``checkpoint``: kept after every epoch, and gone on from when it holds this training.
    """
    weight = torch.tensor(class_weights(training.truth, len(model.card.classes)), dtype=torch.float32).to(model.device)
    course = _course(model.network, recipe, steps=epochs * -(-len(training.truth) // recipe.batch), seed=seed)
    if checkpoint:
        checkpoint.resume(course)
    while len(course.losses) < epochs and course.waited < recipe.patience:
        told = _epoch(model, training, weight, batch=recipe.batch, augment=recipe.augment, course=course)
        course.losses.append((told, mean_loss(model, validation, weight, recipe.batch)))
        if course.waited == 0:
            course.best = copy.deepcopy(model.network.state_dict())
        if checkpoint:
            checkpoint.keep(course)
        tell("network", len(course.losses), epochs, course.losses[-1][1])
    model.network.load_state_dict(course.best)
    return [Epoch(training=told, validation=measured) for told, measured in course.losses]


def _course(network: nn.Module, recipe: Recipe, *, steps: int, seed: int) -> Course:
    """A training that has not begun."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps, pct_start=0.15)
    return Course(network=network, optimizer=optimizer, schedule=schedule, rng=np.random.default_rng(seed))


def _epoch(model: Model, training: Part, weight: Tensor, *, batch: int, augment: Augment, course: Course) -> float:
    """One pass over the training part in a new order; its mean loss."""
    model.network.train()
    losses = []
    for chosen in np.array_split(course.rng.permutation(len(training.truth)), -(-len(training.truth) // batch)):
        inputs = [augment(training.prepared[place], course.rng) for place in chosen]
        loss = loss_of(model, inputs, torch.from_numpy(training.truth[chosen]).to(model.device), weight)
        course.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        course.optimizer.step()
        course.schedule.step()
        losses.append(loss.item())
    model.network.eval()
    return float(np.mean(losses))


def mean_loss(model: Model, part: Part, weight: Tensor, batch: int) -> float:
    """The loss over a part, without augmentation or dropout, of what the steps train."""
    starts = range(0, len(part.truth), batch)
    with torch.inference_mode():
        logits = torch.cat([model.learning(part.prepared[start : start + batch]) for start in starts])
        truth = torch.from_numpy(part.truth).to(model.device)
        return float(weighted_loss(model, logits, truth, weight).item())


def fit_autoencoder(model: Model, training: Part, *, recipe: Recipe, epochs: int, seed: int, tell: Tell) -> None:
    """Trains the autoencoder in place on the training part, as it is."""
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
