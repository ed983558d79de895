"""Seconds an event costs a model on one core, by every way to run it, beside the plain loop in single precision, interleaved.

``python bench/engines.py [--rounds N] [--kind KIND]``: prints what prepare takes, medians of infer alone and in batches, ratios
within the same run, and whether prepare and infer together keep the budget. What cannot run a network is named.
"""

import argparse
import copy
import logging
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from inputs import FACTS, make_inputs

from models.catalogue import list_cards, load
from models.fast import ENGINES, inputs_of, speed_up
from models.interface import Prepared
from models.model import Model
from models.runtimes import has_bfloat16
from stream.errors import DxstreamError
from stream.judgement import Sample

#: Events in a batch, as the worker claims them.
BATCH = {"scan": 32, "lab": 256, "note": 32}
#: Seconds that an event may take: alone, in a batch.
BUDGET = {"scan": (30e-3, 8e-3), "lab": (3e-3, 0.3e-3), "note": (10e-3, 2e-3)}


def main() -> None:
    """Every reference card, or those of one kind."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--kind", choices=sorted(BATCH))
    asked = options.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    print(f"torch {torch.__version__}, one core, bfloat16 {'in hardware' if has_bfloat16() else 'not in hardware'}")
    for card in list_cards():
        if asked.kind in (None, card.kind):
            measure(load(card), asked.rounds)


def measure(model: Model, rounds: int) -> None:
    """One card's table."""
    kind = model.card.kind
    samples = [Sample(contents=(content,), facts=FACTS[kind]) for content in make_inputs(kind, BATCH[kind])]
    model.read(samples[0])  # what is loaded by the first one is no part of it
    began = perf_counter()
    prepared = [model.read(sample) for sample in samples]
    preparing = (perf_counter() - began) / len(samples)
    networks = ways(model, prepared)
    alone: dict[str, list[float]] = {name: [] for name in networks}
    batched: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(rounds):
        for name, network in networks.items():
            model.network = network
            one = prepared[turn % len(prepared)]
            model.infer([one])
            alone[name].append(timed(model, [one]))
            batched[name].append(timed(model, prepared) / len(prepared))
    print(f"\n{model.card.name} {model.card.version}: prepare {1e3 * preparing:.2f} ms an event")
    print(f"{'infer':24}{'alone, ms':>12}{'ratio':>8}{'batched, ms':>14}{'ratio':>8}   within the budget with prepare")
    for name in networks:
        first, many = median(alone[name]), median(batched[name])
        ratios = median(alone["plain"]) / first, median(batched["plain"]) / many
        fits = [took + preparing <= limit for took, limit in zip((first, many), BUDGET[kind], strict=True)]
        print(f"{name:24}{1e3 * first:12.3f}{ratios[0]:8.2f}{1e3 * many:14.3f}{ratios[1]:8.2f}   {fits[0]}, {fits[1]}")


def timed(model: Model, batch: list[Prepared]) -> float:
    """Seconds of one ``infer``, the autoencoder's part in it."""
    began = perf_counter()
    model.infer(batch)
    return perf_counter() - began


def ways(model: Model, prepared: list[Prepared]) -> dict[str, nn.Module]:
    """``plain``: single precision, one channel after the other, nothing folded; as a worker runs it; every engine that takes it."""
    loaded = model.network
    plain = copy.deepcopy(loaded).to(memory_format=torch.contiguous_format)
    speed_up(model)
    found: dict[str, nn.Module] = {"plain": plain, "the card's choice": model.network}
    model.network = loaded
    for engine, make in ENGINES.items():
        for bfloat16 in (False, True) if has_bfloat16() else (False,):
            try:
                network = make(model, inputs_of(model, prepared[:8]), bfloat16)
                if network is not None:
                    model.network, kept = network, model.network
                    try:
                        model.infer(prepared[:3])
                        found[f"{engine}{' in bfloat16' * bfloat16}"] = network
                    finally:
                        model.network = kept
            except (DxstreamError, RuntimeError, TypeError, ValueError) as error:
                words = str(error) if isinstance(error, DxstreamError) else type(error).__name__
                print(f"{model.card.name}: not by {engine}{' in bfloat16' * bfloat16} ({words})")
    return found


if __name__ == "__main__":
    main()
