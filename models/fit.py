"""The training loops: a network with early stopping on the validation part, and its autoencoder."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.model import Model, Prepared
from models.recipe import Recipe

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
    """Weighted cross-entropy; binary where the card has one label."""
    logits = model.logits(batch)
    if model.card.exclusive:
        return functional.cross_entropy(logits, truth, weight, label_smoothing=0.05)
    return functional.binary_cross_entropy_with_logits(logits[:, 0], truth.float(), weight[truth])


def fit(model: Model, training: Part, validation: Part, *, recipe: Recipe, epochs: int, seed: int, tell: Tell) -> list[Epoch]:
    """Trains the network in place and leaves it with the weights of its best epoch; the losses of every epoch."""
    rng = np.random.default_rng(seed)
    weight = torch.tensor(class_weights(training.truth, len(model.card.classes)), dtype=torch.float32)
    weight = weight.to(model.device)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = epochs * -(-len(training.truth) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps, pct_start=0.15)
    epochs_done: list[Epoch] = []
    best, best_weights, waited = float("inf"), copy.deepcopy(model.network.state_dict()), 0
    for number in range(1, epochs + 1):
        told = _epoch(model, training, weight, recipe=recipe, rng=rng, optimizer=optimizer, schedule=schedule)
        measured = mean_loss(model, validation, weight, recipe.batch)
        epochs_done.append(Epoch(training=told, validation=measured))
        tell("network", number, epochs, measured)
        waited = 0 if measured < best else waited + 1
        if measured < best:
            best, best_weights = measured, copy.deepcopy(model.network.state_dict())
        if waited >= recipe.patience:
            break
    model.network.load_state_dict(best_weights)
    return epochs_done


def _epoch(
    model: Model,
    training: Part,
    weight: Tensor,
    *,
    recipe: Recipe,
    rng: np.random.Generator,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    """One pass over the training part in a new order; its mean loss."""
    model.network.train()
    losses = []
    for chosen in np.array_split(rng.permutation(len(training.truth)), -(-len(training.truth) // recipe.batch)):
        batch = [recipe.augment(training.prepared[place], rng) for place in chosen]
        loss = loss_of(model, batch, torch.from_numpy(training.truth[chosen]).to(model.device), weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.network.eval()
    return float(np.mean(losses))


def mean_loss(model: Model, part: Part, weight: Tensor, batch: int) -> float:
    """The loss over a part, without augmentation or dropout."""
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(part.truth), batch):
            truth = torch.from_numpy(part.truth[start : start + batch]).to(model.device)
            loss = loss_of(model, part.prepared[start : start + batch], truth, weight)
            total += loss.item() * len(truth)
    return total / max(len(part.truth), 1)


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
