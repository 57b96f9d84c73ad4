"""What a model may be asked at the end of its run."""

from __future__ import annotations

from byteloom.models import AnyModelConfig
from byteloom.training.tasks.base import Specials
from byteloom.training.tasks.masked import MaskedConfig
from byteloom.training.tasks.prefix import PrefixConfig
from byteloom.training.tasks.spans import SpansConfig


def check_prompt(
    prompt: str,
    task: MaskedConfig | SpansConfig | PrefixConfig,
    model: AnyModelConfig,
    specials: Specials | None,
) -> None:
    """Makes sure that a model can be asked: decoders go on with anything, others read all of it.

    Raises:
        ValueError: a prompt that is too long, or in which an encoder has nothing to find.
    """
    if isinstance(task, PrefixConfig) or specials is None:
        return
    try:
        length = len(task.question(specials, prompt))
    except ValueError as error:
        raise ValueError(f"logging.sample_prompt: {error}") from None
    if length > model.context_length:
        raise ValueError(
            f"logging.sample_prompt has {length:,} tokens, with those that frame it, but "
            f"model.context_length is {model.context_length:,}"
        )
