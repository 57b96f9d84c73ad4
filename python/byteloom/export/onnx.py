"""ONNX: the graph of the model itself, traced, so that any kind of model can be written.

``model.onnx`` maps ids to logits; ``model_with_past.onnx`` also takes keys and values of the tokens
before, which may be none, and gives those of all, so that a runtime can go from token to token.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from byteloom import config
from byteloom.atomic import atomic_folder
from byteloom.export.expressible import refuse
from byteloom.export.source import Source
from byteloom.model import TransformerLM
from byteloom.nn.attention import Cache, LayerCache

#: Of a file with its weights inside; protobuf ends at 2 GB.
_LARGEST_FILE = 1_800_000_000


def write(source: Source, destination: Path) -> list[str]:
    """Writes the folder with both models, in float32; batch and tokens are of any number.

    Raises:
        ValueError: attention that keeps something else than keys and values, or nothing; a folder
            that is there already.
    """
    import onnx  # noqa: F401  # what is missing is said before the work
    import onnxscript  # noqa: F401

    kind = source.config.attention.kind
    if kind != "multi_head":
        refuse("ONNX with keys and values", [f"attention.kind is {kind!r}, not 'multi_head'"])
    model = source.model.float().eval()
    model.new_cache(1)  # which refuses models that cannot go from token to token
    about = json.dumps(config.dump(source.config))
    with atomic_folder(destination) as folder:
        _export(WholeTexts(model), _whole_texts(model), folder / "model.onnx", about)
        _export(WithPast(model), _with_past(model), folder / "model_with_past.onnx", about)
        if source.tokenizer is not None:
            source.tokenizer.save(folder / "tokenizer.json")
    return []


class PastLayerCache(LayerCache):
    """One layer's keys and values as a function: those of before, and what comes, in new tensors.

    Args:
        keys: of the tokens before; ``None``: there are none.
        values: likewise.
    """

    def __init__(
        self,
        keys: Float[Tensor, "batch heads past d_k"] | None = None,
        values: Float[Tensor, "batch heads past d_v"] | None = None,
    ) -> None:
        super().__init__(0)
        self.keys, self.values = keys, values
        self.past = 0 if keys is None else keys.shape[-2]

    def next_positions(self, seq: int, device: torch.device) -> Int[Tensor, " seq"] | None:
        """Where the next tokens stand."""
        return torch.arange(self.past, self.past + seq, device=device)

    def append(
        self,
        keys: Float[Tensor, "*batch heads seq d_k"],
        values: Float[Tensor, "*batch heads seq d_v"],
    ) -> tuple[Float[Tensor, "*batch heads total d_k"], Float[Tensor, "*batch heads total d_v"]]:
        """All so far."""
        if self.keys is not None and self.values is not None:
            keys = torch.cat((self.keys, keys), dim=-2)
            values = torch.cat((self.values, values), dim=-2)
        self.keys, self.values = keys, values
        return keys, values


class PastCache(Cache):
    """The caches of all layers.

    Args:
        layers: those.
    """

    def __init__(self, layers: list[PastLayerCache]) -> None:
        self.layers: list[PastLayerCache] = layers

    @property
    def length(self) -> int:
        """0: how many tokens were read is not known while the graph is traced."""
        return 0

    def mask(self, seq: int) -> Bool[Tensor, "1 1 seq total"] | None:
        """True where a key is not after the query; said, as the graph must not depend on sizes."""
        past = self.layers[0].past
        queries, keys = torch.arange(past, past + seq), torch.arange(past + seq)
        return (keys[None] <= queries[:, None])[None, None]


class WholeTexts(nn.Module):
    """Ids -> logits.

    Args:
        model: what is asked.
    """

    def __init__(self, model: TransformerLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        """The logits."""
        return self.read(input_ids)[0]

    def read(self, input_ids: Tensor, past: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """The logits; keys and values of each layer."""
        pairs = zip(past[0::2], past[1::2], strict=True)
        layers = [PastLayerCache(keys, values) for keys, values in pairs]
        cache = PastCache(layers or [PastLayerCache() for _ in self.model.layers])
        logits: Tensor = self.model(input_ids, cache=cache)
        present = [t for layer in cache.layers for t in (layer.keys, layer.values)]
        return logits, [t for t in present if t is not None]


class WithPast(WholeTexts):
    """Ids, keys and values of tokens before -> logits, keys and values of all."""

    def forward(self, input_ids: Tensor, past: Sequence[Tensor] = ()) -> Any:
        """Logits, then keys and values in turn, layer by layer."""
        logits, present = self.read(input_ids, past)
        return logits, *present


def _whole_texts(model: TransformerLM) -> dict[str, Any]:
    """How the exporter is called for a model without past."""
    batch, tokens = _dimensions(model)
    return {
        "args": (_example(model),),
        "input_names": ["input_ids"],
        "output_names": ["logits"],
        "dynamic_shapes": ({0: batch, 1: tokens},),
    }


def _with_past(model: TransformerLM) -> dict[str, Any]:
    """How it is called for one with past."""
    batch, tokens = _dimensions(model)
    ids = _example(model)
    with torch.no_grad():
        past = WholeTexts(model).read(ids)[1]
    before = torch.export.Dim("past", min=0, max=model.config.context_length)
    names = [f"{i}.{what}" for i in range(len(past) // 2) for what in ("key", "value")]
    return {
        "args": (ids, past),
        "input_names": ["input_ids", *(f"past.{name}" for name in names)],
        "output_names": ["logits", *(f"present.{name}" for name in names)],
        "dynamic_shapes": ({0: batch, 1: tokens}, [{0: batch, 2: before} for _ in past]),
    }


def _example(model: TransformerLM) -> Tensor:
    # Neither 0 nor 1 anywhere: those sizes would be taken for constants.
    return torch.ones(2, min(3, model.config.context_length), dtype=torch.long)


def _dimensions(model: TransformerLM) -> tuple[Any, Any]:
    dim = torch.export.Dim
    return dim("batch"), dim("tokens", max=model.config.context_length)


def _export(module: nn.Module, how: dict[str, Any], path: Path, about: str) -> None:
    from byteloom.export.onnx_operations import translations  # which imports onnxscript

    size = sum(p.numel() * p.element_size() for p in module.parameters())
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            dynamo=True,
            verbose=False,
            custom_translation_table=translations(),
            **how,
        )
    assert program is not None
    program.model.metadata_props["byteloom"] = about
    program.save(path, external_data=size > _LARGEST_FILE)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks to its own developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
