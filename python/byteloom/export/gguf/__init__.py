"""GGUF, the file of llama.cpp and its kin: weights and tokenizer in one.

An architecture of llama.cpp's is a class; those that are chosen from stand here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from byteloom import __version__
from byteloom.atomic import atomic_path
from byteloom.export.expressible import differences, refuse
from byteloom.export.gguf.architecture import Architecture
from byteloom.export.gguf.command_r import Cohere2, CommandR
from byteloom.export.gguf.deepseek import DeepSeek, Ernie, Ling2
from byteloom.export.gguf.experts import Mixtral, OLMoE, Qwen2MoE, Qwen3MoE
from byteloom.export.gguf.gemma2 import Gemma2
from byteloom.export.gguf.gpt2 import GPT2
from byteloom.export.gguf.llama import Llama, Qwen2, Qwen3, SmolLM3
from byteloom.export.gguf.olmo2 import Olmo2
from byteloom.export.gguf.vocabulary import vocabulary
from byteloom.export.hf.roles import as_list
from byteloom.export.source import Source
from byteloom.model import ModelConfig

#: The first that can express a model is taken: of two, that which more programs read.
ARCHITECTURES: tuple[Architecture, ...] = (
    Qwen2(),
    Qwen3(),
    SmolLM3(),
    Llama(),
    Gemma2(),
    Olmo2(),
    CommandR(),
    Cohere2(),
    GPT2(),
    Mixtral(),
    Qwen3MoE(),
    Qwen2MoE(),
    OLMoE(),
    DeepSeek(),
    Ernie(),
    Ling2(),
)


def choose(config: ModelConfig) -> Architecture:
    """The architecture that expresses a model.

    Raises:
        ValueError: none does; the message says what stands in the way of the nearest.

    Example:
        >>> choose(ModelConfig(vocab_size=10)).name
        'llama'
    """
    has_experts = config.ffn.kind == "experts"
    problems = {
        one: one.problems(config) for one in ARCHITECTURES if one.has_experts == has_experts
    }
    # Nearest is where each key alone is right, then where the fewest are wrong.
    nearest = min(
        problems,
        key=lambda one: (bool(differences(config, one.fixed, one.free)), len(problems[one])),
    )
    refuse(f"GGUF's nearest architecture, {nearest.name},", problems[nearest])
    return nearest


def write(source: Source, destination: Path, dtype: str = "fp32") -> list[str]:
    """Writes the file; vectors, learned positions and routers are float32 in any case.

    Raises:
        ValueError: a model that no architecture expresses, or a tokenizer whose pattern llama.cpp
            does not know.
    """
    import gguf

    architecture = choose(source.config)
    with atomic_path(destination) as path:
        writer = gguf.GGUFWriter(path, architecture.name)
        writer.add_name(source.name)
        writer.add_string("byteloom.version", __version__)
        kinds = gguf.LlamaFileType
        types = {
            "fp32": kinds.ALL_F32,
            "fp16": kinds.MOSTLY_F16,
            "bf16": kinds.MOSTLY_BF16,
        }
        writer.add_file_type(types[dtype])
        for key, value in architecture.keys(source.model).items():
            if isinstance(value, bool):
                writer.add_bool(f"{architecture.name}.{key}", value)
            elif isinstance(value, float):
                writer.add_float32(f"{architecture.name}.{key}", value)
            else:
                writer.add_uint32(f"{architecture.name}.{key}", value)
        remarks = _add_vocabulary(writer, source)
        for name, tensor in architecture.tensors(source.model).items():
            is_wide = tensor.ndim < 2 or "ffn_gate_inp" in name or name.startswith("position")
            kind = "fp32" if is_wide else dtype
            _ADD[kind](writer, name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return remarks


def _add_vocabulary(writer: Any, source: Source) -> list[str]:
    found = vocabulary(source)
    if found is None:
        writer.add_tokenizer_model("none")
        return ["there is no tokenizer in it: the run was trained on ids alone"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(found.pre)
    writer.add_token_list(found.tokens)
    writer.add_token_types(found.types)
    if found.merges:
        writer.add_token_merges(found.merges)
    writer.add_add_bos_token(False)
    if source.chat_template:
        writer.add_chat_template(source.chat_template)
    return [*found.remarks, *_add_roles(writer, source)]


def _add_roles(writer: Any, source: Source) -> list[str]:
    """What begins a text, what ends it, or a turn in a conversation, and what fills up."""
    roles = source.roles
    special = {} if source.tokenizer is None else source.tokenizer.special_tokens
    ids = {role: special.get(token or "") for role, token in roles.tokens.items()}
    ends = as_list(roles.generation.get("eos_token_id"))
    end = ids.get("eos_token")
    if end is None:
        end = next(iter(ends), None)
    if (begin := ids.get("bos_token")) is not None:
        writer.add_bos_token_id(begin)
    if (pad := ids.get("pad_token")) is not None:
        writer.add_pad_token_id(pad)
    if end is None:
        return ["no token ends a text: llama.cpp takes number 11 for it"]
    writer.add_eos_token_id(end)
    others = [one for one in ends if one != end]
    if others:
        writer.add_eot_token_id(others[0])
    if others[1:]:
        names = {token: text for text, token in special.items()}
        left = ", ".join(names.get(one, str(one)) for one in others[1:])
        return [f"llama.cpp has two tokens that end a text; {left} is none of them"]
    return []


def _add_bf16(writer: Any, name: str, tensor: Tensor) -> None:
    import gguf

    # numpy has no such type: the bits as they are.
    bits = tensor.bfloat16().contiguous().view(torch.int16).numpy().view("uint8")
    writer.add_tensor(name, bits, raw_dtype=gguf.GGMLQuantizationType.BF16)


_ADD: dict[str, Callable[[Any, str, Tensor], None]] = {
    "fp32": lambda writer, name, tensor: writer.add_tensor(name, tensor.contiguous().numpy()),
    "fp16": lambda writer, name, tensor: writer.add_tensor(
        name, tensor.half().contiguous().numpy()
    ),
    "bf16": _add_bf16,
}
