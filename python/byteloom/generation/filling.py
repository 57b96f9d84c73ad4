"""A text with hidden tokens -> what an encoder finds in their places."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from byteloom.models import Encoder


@torch.inference_mode()
def fill_ids(
    model: Encoder, ids: Sequence[int], mask: int, never: Collection[int] = ()
) -> list[int]:
    """Puts the likeliest token wherever one is hidden, all at once: none sees what another becomes.

    Args:
        model: is put into evaluation mode while it is asked, and back.
        ids: the text, framed as those that the model learned from.
        mask: what hides a token.
        never: ids that are not put anywhere, special ones say.

    Returns:
        The text, as long as it was.

    Raises:
        ValueError: nothing is hidden; too many ids, or some that the model lacks.

    Example:
        >>> from byteloom.models import EncoderConfig
        >>> config = EncoderConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2)
        >>> found = fill_ids(config.build(seed=0), [1, 5, 3, 2], mask=3, never=range(4))
        >>> found[:2], found[2] in range(4, 10), found[3]
        ([1, 5], True, 2)
    """
    if mask not in ids:
        raise ValueError(f"none of the ids is {mask}, the mask: nothing is hidden")
    text = torch.tensor([[int(token) for token in ids]])
    model.check_ids(text, model.config.context_length)
    text = text.to(model.lm_head.weight.device)
    was_training = model.training
    model.eval()
    try:
        hidden = text == mask
        logits = model.lm_head(model.hidden(text)[hidden])
    finally:
        model.train(was_training)
    logits[:, list(never)] = -torch.inf
    text[hidden] = logits.argmax(-1)
    found: list[int] = text[0].tolist()
    return found
