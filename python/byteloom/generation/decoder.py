"""Token after token for a whole batch, in a step that can be compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from byteloom.model import TransformerLM
from byteloom.nn.attention import prefix_mask
from byteloom.nn.attention.static_cache import StaticCache

#: The fewest places of the cache that a step looks at; when they are full, twice as many.
_FEWEST_PLACES = 256


class Decoder:
    """Reads prompts of one length, and then one token of each at a time.

    A step reads all weights to make a few tokens, so it is as fast as the memory, if nothing else
    takes time: with ``compiled`` there is one kernel where there were many, and on CUDA the whole
    step is started at once. Of the cache it reads no more than twice what is filled, so that it is
    compiled anew only when the text has become twice as long.

    Args:
        model: what is asked; in evaluation mode.
        compiled: whether torch.compile makes the step, at its first use.
        dtype: type of the weights and the cache; ``None`` is the model's. In bf16 half of the
            memory is read.

    Example:
        >>> from byteloom.model import ModelConfig
        >>> model = ModelConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2).build()
        >>> decoder = Decoder(model.eval())
        >>> logits = decoder.read(torch.tensor([[1, 2, 3], [4, 5, 6]]))
        >>> logits = decoder.step(logits.argmax(-1))
        >>> logits.shape
        torch.Size([2, 10])
    """

    def __init__(
        self, model: TransformerLM, compiled: bool = False, dtype: torch.dtype | None = None
    ) -> None:
        if dtype is not None and dtype != model.lm_head.weight.dtype:
            model = copy.deepcopy(model)
            for parameter in model.parameters():  # and no tables, of angles say
                parameter.data = parameter.data.to(dtype)
        self.model, self.compiled = model, compiled
        self.device = model.lm_head.weight.device
        self._cache: StaticCache | None = None
        self._length = 0
        self._step = self._compile() if compiled else self._plain_step

    @torch.inference_mode()
    def read(
        self, prompts: Int[Tensor, "batch seq"], prefix: int = 0
    ) -> Float[Tensor, "batch vocab"]:
        """Reads prompts, forgetting what was there before; the logits of the token after each.

        Args:
            prompts: what is read.
            prefix: so many tokens of each, the first, see each other in both directions.

        Raises:
            ValueError: longer than the context.
        """
        filled, mask, seq = self.model.new_cache(), None, prompts.shape[1]
        if prefix:
            mask = prefix_mask(torch.tensor([prefix], device=self.device), seq)
        logits: Tensor = self.model(prompts.to(self.device), cache=filled, mask=mask)
        self._length = prompts.shape[1]
        if self._cache is not None and self._cache.fits(filled):
            self._cache.take_over(filled)
        else:
            self._cache = StaticCache(filled)
        return logits[:, -1]

    @torch.inference_mode()
    def step(self, ids: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """Reads one more token of each; the logits of the token after it.

        Raises:
            ValueError: the context is full.
        """
        assert self._cache is not None, "read a prompt first"
        if self._length == self.model.config.context_length:
            raise ValueError(f"the context of {self._length} tokens is full")
        self._length += 1
        self._cache.look_at(max(_FEWEST_PLACES, 1 << (self._length - 1).bit_length()))
        return self._step(ids[:, None].to(self.device), self._cache)

    def _plain_step(self, ids: Tensor, cache: StaticCache) -> Tensor:
        logits: Tensor = self.model(ids, cache=cache)
        cache.place += 1
        return logits[:, -1]

    def _compile(self) -> Callable[[Tensor, StaticCache], Tensor]:
        mode = "reduce-overhead" if self.device.type == "cuda" else "default"
        step = torch.compile(self._plain_step, mode=mode, fullgraph=True)
        return cast(Callable[[Tensor, StaticCache], Tensor], step)
