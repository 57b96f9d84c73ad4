"""The bytes that a run holds: what stays, what comes and goes, and when there are most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from byteloom.models import AnyModelConfig, EncoderConfig, EncoderDecoderConfig
from byteloom.models.decoder_cache import DecoderCache
from byteloom.nn.loss import piece_size
from byteloom.training.config import RunConfig
from byteloom.training.estimate.ledger import Ledger
from byteloom.training.estimate.stand_in import blocks, predicted
from byteloom.training.estimate.trace import Trace

#: What the ledger calls it -> what it is.
_PURPOSES = {
    "weights": "weights",
    "optimizer state": "optimizer state",
    "gradients": "gradients",
    "forward": "activations",
    "loss": "loss",
    "backward": "temporaries of the backward pass",
    "optimizer": "temporaries of the optimizer",
    "average": "average of the weights",
    "workspaces": "workspaces of libraries",
}


@dataclass(frozen=True)
class Peak:
    """The moment of a phase when most is held."""

    bytes: int
    """How much."""
    moment: str
    """When: "loss", "backward, last block" ..."""
    purposes: dict[str, int]
    """What for, the most first."""


@dataclass(frozen=True)
class Memory:
    """Bytes of tensors on the device, unless it says otherwise."""

    weights: int
    """Parameters."""
    gradients: int
    """One of each."""
    optimizer_state: int
    """What the optimizer keeps from step to step."""
    activations: int
    """Kept from a batch's forward pass for its gradients."""
    activations_per_block: int
    """Of those, by block."""
    logits_piece: int
    """The logits that exist at once, in the type of products."""
    logits_tokens: int
    """Of how many tokens they are."""
    optimizer_temporaries: int
    """While the optimizer works."""
    other: int
    """Batches, tables of positions, workspaces of libraries."""
    forward_backward: Peak
    """While gradients are made."""
    optimizer_step: Peak
    """While they become updates."""
    offloaded: int
    """In main memory: what waits there for the backward pass."""
    checkpoint_copy: int
    """In main memory, while a checkpoint is written: weights and optimizer state again."""
    cache: int
    """Keys and values of the texts that are generated at once."""
    cache_batch: int
    """How many texts these are."""
    cache_length: int
    """And their tokens."""

    @property
    def peak(self) -> Peak:
        """The greater one."""
        return max(self.forward_backward, self.optimizer_step, key=lambda peak: peak.bytes)


def count_memory(
    run_config: RunConfig, trace: Trace, device: str, cache_batch: int, cache_length: int | None
) -> Memory:
    """Adds up what a step held on a device of this type."""
    model, training = run_config.model, run_config.training
    peaks = {name: _peak(name, purposes) for name, purposes in trace.peaks.items()}
    last = trace.peaks["optimizer step"]
    targets = training.batch_size * predicted(run_config)
    pieces = piece_size(targets, model.vocab_size, device)
    length = _longest(model) if cache_length is None else cache_length
    return Memory(
        weights=last["weights"],
        gradients=last["gradients"],
        optimizer_state=last["optimizer state"],
        activations=trace.kept["forward"],
        activations_per_block=trace.kept["forward"] // sum(blocks(model)),
        logits_piece=pieces * model.vocab_size * (2 if training.dtype in ("bf16", "fp16") else 4),
        logits_tokens=pieces,
        optimizer_temporaries=last["optimizer"],
        other=last["batches"] + last["buffers"] + last["workspaces"],
        forward_backward=max(
            (peak for name, peak in peaks.items() if name != "optimizer step"),
            key=lambda peak: peak.bytes,
        ),
        optimizer_step=peaks["optimizer step"],
        offloaded=trace.waiting["offloaded"],
        checkpoint_copy=last["weights"] + last["optimizer state"],
        cache=cache_bytes(model, cache_batch, length),
        cache_batch=cache_batch,
        cache_length=length,
    )


def cache_bytes(config: AnyModelConfig, batch: int, length: int) -> int:
    """Bytes that layers keep of ``batch`` texts of ``length`` tokens: most, keys and values.

    A model that reads whole texts only keeps nothing; one that writes while it looks at another
    text keeps that one's too, which is as long as it can be.

    Raises:
        ValueError: the model sees fewer tokens, or there are none.
    """
    limit = _longest(config)
    if not 1 <= length <= limit or batch < 1:
        raise ValueError(
            f"{batch} texts of {length:,} tokens: there must be at least one of each, and the "
            f"model's context is {limit:,}"
        )
    if isinstance(config, EncoderDecoderConfig):
        return _cache_of_pair(config, batch, length)
    if isinstance(config, EncoderConfig) or not config.attention.causal:
        return 0
    kinds, held = Counter(map(config.attention_of, range(config.num_layers))), 0
    with FakeTensorMode(), torch.random.fork_rng(devices=[]), torch.no_grad():
        x, position = torch.zeros(batch, 1, config.d_model), config.build_position()
        for kind, layers in kinds.items():
            attention = kind.build(config.d_model, config.num_heads)
            cache = attention.new_cache(length)
            # What goes in first decides the size.
            attention(x, None, position, cache)
            held += layers * sum(tensor.nbytes for tensor in cache.tensors())
    return held


def _longest(config: AnyModelConfig) -> int:
    """Tokens of the longest text that is written."""
    if isinstance(config, EncoderDecoderConfig):
        return config.decoder_length
    return config.context_length


def _cache_of_pair(config: EncoderDecoderConfig, batch: int, length: int) -> int:
    # The ledger answers where ids are looked at.
    with FakeTensorMode(), Ledger(), torch.random.fork_rng(devices=[]), torch.no_grad():
        is_one_enough = config.has_equal_layers()
        few = 1 if is_one_enough else config.decoder_layers
        read = 1 if is_one_enough else config.num_layers
        model = replace(config, num_layers=read, num_decoder_layers=few).build()
        cache = DecoderCache(model.decoder.new_cache(length))
        memory = torch.zeros(batch, config.context_length, config.d_model)
        model.next_logits(torch.zeros(batch, 1, dtype=torch.long), cache, memory)
        own = [tensor for layer in cache.layers for tensor in layer.tensors()]
        other = [x for made in cache.memories for x in (made.keys, made.values) if x is not None]
        return config.decoder_layers // few * sum(tensor.nbytes for tensor in (*own, *other))


def _peak(moment: str, purposes: Counter[str]) -> Peak:
    named: Counter[str] = Counter()
    for purpose, size in purposes.items():
        named[_PURPOSES.get(purpose, "other")] += size
    return Peak(purposes.total(), moment, {name: n for name, n in named.most_common() if n})
