"""Hugging Face: a model as a folder that ``transformers`` opens, and back.

:func:`write` takes the first architecture that computes exactly what the model does; :func:`read`
takes the folders of those architectures. Neither needs ``transformers``. An architecture is data
(``families/``): rules that turn settings into keys and keys into settings (``rules.py``,
``rotary.py``, ``layers.py``), and names of weights. A model fits if writing its configuration and
reading it again gives the same (``canonical.py`` says what is the same).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from byteloom.atomic import atomic_folder
from byteloom.export.hf import files, tokenizer_files, weights
from byteloom.export.hf.card import card
from byteloom.export.hf.families import FAMILIES
from byteloom.export.hf.family import Family, refusal
from byteloom.export.hf.files import SHARD_BYTES
from byteloom.export.hf.roles import IDS, Roles, by_names
from byteloom.export.hf.tokenizer_files import prefix
from byteloom.model import ModelConfig, TransformerLM
from byteloom.tokenizer import Tokenizer

__all__ = ["SHARD_BYTES", "family_of", "prefix", "read", "read_config", "write"]


def write(
    model: TransformerLM,
    tokenizer: Tokenizer | None,
    folder: str | os.PathLike[str],
    *,
    figures: Mapping[str, object] | None = None,
    shard_bytes: int = SHARD_BYTES,
    roles: Roles | None = None,
    chat_template: str = "",
) -> None:
    """Writes a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` open, or nothing.

    Logits are the model's, up to the last bits of float32; weights have the type they have here.

    Warns:
        UserWarning: of the architectures, only Qwen 2's fits, beside which ``AutoTokenizer`` opens
            no tokenizer but Qwen's.

    Args:
        model: what is written.
        tokenizer: goes with it; ``None``: the folder has none.
        folder: to make.
        figures: what the model card tells beside the sizes.
        shard_bytes: weights of more are put into several files.
        roles: what special tokens are for; ``None``: as their names tell.
        chat_template: goes with the tokenizer, as it is; empty: there is none.

    Raises:
        ValueError: no architecture computes this; the message says which keys are in the way. Or
            the folder is there already.
        FileNotFoundError: the folder above it is missing.
    """
    folder = Path(folder)
    family = family_of(model.config, with_tokenizer=tokenizer is not None)
    if tokenizer is not None and family.overrules_tokenizers:
        warnings.warn(
            f"AutoTokenizer takes a tokenizer beside {family.architecture} for another: open it as "
            "PreTrainedTokenizerFast, as the model card says",
            stacklevel=2,
        )
    settings = family.write(model.config)
    seen = family.read(settings)
    roles, nothing = roles or by_names(tokenizer), dict.fromkeys(IDS)
    dtype = str(model.token_embeddings.weight.dtype).removeprefix("torch.")
    with atomic_folder(folder) as unfinished:
        settings = {**settings, **nothing, **roles.model, "dtype": dtype}
        files.write_json(unfinished / "config.json", settings)
        generation = {**nothing, **roles.generation}
        files.write_json(unfinished / "generation_config.json", generation)
        if tokenizer is not None:
            length = model.config.context_length
            tokenizer_files.write(tokenizer, unfinished, length, roles, chat_template)
        files.write(list(weights.pending(model, family, seen)), unfinished, shard_bytes)
        text = card(
            model,
            folder.name,
            family.architecture,
            figures or {},
            tokenizer_opener="PreTrainedTokenizerFast"
            if family.overrules_tokenizers
            else "AutoTokenizer",
            is_chat=bool(chat_template),
        )
        (unfinished / "README.md").write_text(text, "utf-8")


def family_of(config: ModelConfig, with_tokenizer: bool = False) -> Family:
    """The architecture that computes what the model does; the first, if several do.

    Args:
        config: the model's.
        with_tokenizer: whether a tokenizer goes with it, that ``AutoTokenizer`` is to open.

    Raises:
        ValueError: none does; the message says in which keys the nearest differs.
    """
    # One that has weights which the model lacks, biases of zeros, comes after those that have not.
    fitting = [family for family in FAMILIES if not family.lacks(config)]
    if not fitting:
        raise ValueError(refusal(config, FAMILIES))

    def cost(family: Family) -> tuple[bool, int]:
        return with_tokenizer and family.overrules_tokenizers, family.adds(config)

    return min(fitting, key=cost)


def read(
    folder: str | os.PathLike[str], *, with_tokenizer: bool = True
) -> tuple[TransformerLM, Tokenizer | None]:
    """Reads a folder that ``save_pretrained`` or :func:`write` made, or that came from the Hub.

    Args:
        folder: with ``config.json`` and ``.safetensors``.
        with_tokenizer: whether its tokenizer is wanted.

    Returns:
        The model, in float32 and evaluation mode, and its tokenizer, if there is one.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: an architecture, a setting or a tokenizer that byteloom does not have; the
            message says which.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    family, config = read_config(folder)
    tokenizer = None
    if with_tokenizer:
        try:
            tokenizer = tokenizer_files.read(folder)
        except ValueError as error:
            raise ValueError(f"{error}; the model can be read without its tokenizer") from None
    with files.Weights(folder) as found:
        try:
            model = weights.load(config, family, found)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from None
    return model, tokenizer


def read_config(folder: Path) -> tuple[Family, ModelConfig]:
    """What a folder's ``config.json`` says.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it says what byteloom cannot do.
    """
    path = folder / "config.json"
    settings = files.read_json(path)
    families = {family.model_type: family for family in FAMILIES}
    kind = settings.get("model_type")
    if kind not in families:
        raise ValueError(
            f"{path}: model_type is {kind!r}; byteloom reads {', '.join(sorted(families))}"
        )
    if settings.get("quantization_config") is not None:
        raise ValueError(f"{path}: the weights are quantized; byteloom reads those that are not")
    try:
        return families[kind], families[kind].read(settings)
    except (ValueError, KeyError, TypeError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path}: {problem}") from None
