"""Models as files of other tools: a run -> what Hugging Face, llama.cpp, ONNX or nanoGPT open.

Example:
    >>> import tempfile
    >>> from pathlib import Path
    >>> from byteloom.model import ModelConfig
    >>> model = ModelConfig(vocab_size=256, context_length=8, d_model=16, num_heads=2).build()
    >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
    >>> write(Source(model.eval()), "safetensors", path)
    []
    >>> path.exists()
    True
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from byteloom.export import chat
from byteloom.export.source import AnySource, Source, Which, open_any_run, open_run

__all__ = [
    "TARGETS",
    "AnySource",
    "Source",
    "Target",
    "Which",
    "open_any_run",
    "open_run",
    "write",
]


@dataclass(frozen=True)
class Target:
    """One format."""

    module: str
    """What writes it: its ``write(source, destination)``."""
    what: str
    """What it is for, in a few words."""
    install: str
    """What it takes, for pip."""
    is_folder: bool = False
    """Whether it is a folder of files."""
    dtypes: tuple[str, ...] = ("fp32",)
    """The types that weights can have in it."""
    has_chat: bool = False
    """Whether a chat template can go with it."""
    has_all_kinds: bool = False
    """Whether it has encoders and encoder-decoders, too."""


TARGETS = {
    "hf": Target(
        "byteloom.export.huggingface",
        "transformers",
        "transformers",
        is_folder=True,
        has_chat=True,
        has_all_kinds=True,
    ),
    "gguf": Target(
        "byteloom.export.gguf",
        "llama.cpp and its kin",
        "gguf",
        dtypes=("fp32", "fp16", "bf16"),
        has_chat=True,
    ),
    "onnx": Target("byteloom.export.onnx", "ONNX runtimes", "onnx onnxscript", is_folder=True),
    "nanogpt": Target("byteloom.export.nanogpt", "nanoGPT", "byteloom[train]"),
    "safetensors": Target(
        "byteloom.export.safetensors",
        "the weights alone",
        "byteloom[train]",
        dtypes=("fp32", "fp16", "bf16"),
        has_all_kinds=True,
    ),
}


def write(
    source: AnySource,
    to: str,
    destination: str | os.PathLike[str],
    dtype: str = "fp32",
    chat_template: str | None = None,
) -> list[str]:
    """Writes a model in another format.

    Args:
        source: the model; :func:`open_any_run` makes it of a run. Of encoders and
            encoder-decoders there are "hf" and "safetensors".
        to: the format, one of :data:`TARGETS`.
        destination: the file, or for "hf" and "onnx" the folder; it appears when it is complete.
        dtype: type of the weights in the file.
        chat_template: what makes one text of a conversation, for "hf" and "gguf": a Jinja program,
            as transformers has it; ``None``: the one that the run has, if it has one.

    Returns:
        What whoever uses the file should know.

    Raises:
        ValueError: no such format; one that cannot express this model, with the keys that stand
            in the way; a chat template that fails, or where there is no place for one.
        ImportError: a library is missing; the message is what installs it.
        OSError: it cannot be written.
    """
    if to not in TARGETS:
        raise ValueError(f"no format {to!r}, only {', '.join(TARGETS)}")
    target, path = TARGETS[to], Path(destination)
    if not target.has_all_kinds and not isinstance(source, Source):
        raise ValueError(
            f"{to} is for decoders, and this is an {source.model.config.kind}: hf, a folder for "
            "transformers, and safetensors have all kinds"
        )
    if dtype not in target.dtypes:
        raise ValueError(f"{to} has weights of the type {' or '.join(target.dtypes)}, not {dtype}")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} into")
    if path.is_dir() != target.is_folder and path.exists():
        raise ValueError(f"{path} is {'no ' if target.is_folder else ''}folder: name another")
    options: dict[str, Any] = {"dtype": dtype} if len(target.dtypes) > 1 else {}
    source, remarks = _with_chat(source, to, chat_template)
    try:
        remarks += importlib.import_module(target.module).write(source, path, **options)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "byteloom":
            raise
        raise ImportError(f"--to {to} needs {error.name}: pip install {target.install}") from error
    if source.run.get("task", {}).get("kind") == "prefix":
        remarks.append(
            "it learned to go on with prefixes that see themselves (task.kind prefix): programs "
            "that open this read a prompt causally, unless they are given that mask"
        )
    return remarks


def _with_chat(source: AnySource, to: str, given: str | None) -> tuple[AnySource, list[str]]:
    """The source with the chat template that goes along, and what is to be said of it."""
    if given is None and not (source.chat_template and TARGETS[to].has_chat):
        return source, []
    if not TARGETS[to].has_chat:
        raise ValueError(f"{to} has no place for a chat template, only hf and gguf")
    why = ""
    if not isinstance(source, Source):
        why = f"a chat template is for decoders, and not for {source.model.config.kind}"
    elif source.tokenizer is None:
        why = "a chat template goes with a tokenizer, and the run has none"
    if why and given is not None:
        raise ValueError(why)
    if why or source.tokenizer is None:
        return replace(source, chat_template=""), []
    if given is not None:
        try:
            remarks = chat.check(given, source.tokenizer, source.roles.tokens)
        except ModuleNotFoundError as error:
            raise ImportError(f"chat templates need {error.name}: pip install jinja2") from error
        turn = chat.end_of_turn(given, source.tokenizer, source.roles.tokens)
        roles = source.roles if turn is None else source.roles.ending(turn)
        return replace(source, chat_template=given, kept=roles), remarks
    try:
        return source, chat.check(source.chat_template, source.tokenizer, source.roles.tokens)
    except ValueError as error:
        # It is as it came; what it needs to work, such as tools, is not known here.
        return source, [f"kept as it came, but {error}"]
    except ModuleNotFoundError as error:
        return source, [f"the chat template is kept as it came, untried: that takes {error.name}"]
