"""GGUF files, read by others: gguf's reader, a llama in numpy, transformers, tokenizers.

llama.cpp itself does it in scripts/llama_cpp.sh.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from exported import END, MODELS, TEXT, randomized, some_ids, source, tiny, tokenizer
from numpy_llama import logits as numpy_logits

import byteloom as bl
from byteloom.export import Source, write
from byteloom.export.gguf import ARCHITECTURES, choose
from byteloom.model import ModelConfig
from byteloom.nn import GELUConfig, MultiHeadConfig, ParallelConfig, RMSNormConfig, RotaryConfig
from byteloom.nn.position.alibi import ALiBiConfig


def test_models_here_cover_all_architectures() -> None:
    chosen = {name: choose(config).name for name, config in MODELS.items()}
    assert all(name.startswith(architecture) for name, architecture in chosen.items())
    assert set(chosen.values()) == {architecture.name for architecture in ARCHITECTURES}


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("llama")])
def test_a_llama_from_the_file_alone_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    ours, path = source(name), tmp_path / "model.gguf"
    assert write(ours, "gguf", path) == []
    ids = some_ids()
    with torch.no_grad():
        wanted = ours.model(ids)[0].numpy()
    found = numpy_logits(path, ids[0].tolist())
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["llama", "llama, tied", "qwen2", "gpt2"])
def test_transformers_reads_it_with_the_same_logits(name: str, tmp_path: Path) -> None:
    """Its reader of GGUF, without from_pretrained, which wants accelerate for it."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    ours, ids, path = source(name), some_ids(batch=2), tmp_path / "model.gguf"
    write(ours, "gguf", path)
    config = AutoConfig.for_model(**load_gguf_checkpoint(str(path))["config"])
    if name == "gpt2":
        config.n_positions = config.n_ctx  # which transformers does not take from the file
    theirs = AutoModelForCausalLM.from_config(config).eval()
    read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=theirs)["tensors"]
    missing, unexpected = theirs.load_state_dict(read, strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unexpected
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, ours.model(ids), atol=1e-4, rtol=1e-4)


def test_transformers_makes_a_tokenizer_of_it_with_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from transformers import AutoTokenizer

    ours = source("gpt2")
    write(ours, "gguf", tmp_path / "model.gguf")
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    text = f"{TEXT}{END} hello\n\n\n it's {END}"
    assert theirs(text, add_special_tokens=False).input_ids == tokenizer().encode(text)
    assert theirs.eos_token == END


@pytest.mark.parametrize("name", MODELS)
def test_names_are_those_of_the_architecture_and_shapes_what_keys_say(
    name: str, tmp_path: Path
) -> None:
    ours, path = source(name), tmp_path / "model.gguf"
    write(ours, "gguf", path)
    reader = gguf.GGUFReader(path)
    architecture = reader.get_field("general.architecture").contents()
    number = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    known = {gguf.TENSOR_NAMES[tensor] for tensor in gguf.MODEL_TENSORS[number]}
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    for tensor in tensors:
        stem = tensor.rpartition(".")[0]
        block = stem.split(".")[1] if stem.startswith("blk.") else ""
        assert stem.replace(f"blk.{block}.", "blk.{bid}.") in known

    def key(name: str) -> int:
        return reader.get_field(f"{architecture}.{name}").contents()

    config = ours.config
    assert key("block_count") == config.num_layers and key("context_length") == 256
    assert tensors["token_embd.weight"].shape == (key("vocab_size"), key("embedding_length"))
    up = tensors["blk.0.ffn_up.weight"]
    assert up.shape == (key("feed_forward_length"), key("embedding_length"))
    queries = key("attention.head_count") * key("attention.key_length")
    assert tensors["blk.1.attn_output.weight"].shape == (key("embedding_length"), queries)
    pairs = key("attention.head_count_kv") * key("attention.value_length")
    if architecture != "gpt2":
        assert tensors["blk.1.attn_k.weight"].shape[0] == pairs
        assert key("rope.dimension_count") == key("attention.key_length")


@pytest.mark.parametrize("name", ["qwen2", "smollm3", "cohere2", "gpt2", "olmo2", "command-r"])
def test_every_weight_is_in_the_file_and_none_is_changed(name: str, tmp_path: Path) -> None:
    ours, path = source(name), tmp_path / "model.gguf"
    write(ours, "gguf", path)
    reader = gguf.GGUFReader(path)
    copied = {"output.weight"} if ours.config.tie_embeddings else set()
    found = np.concatenate([t.data.ravel() for t in reader.tensors if t.name not in copied])
    unused = {"ln2"} if ours.config.block.kind == "parallel" else set()
    wanted = np.concatenate(
        [
            parameter.detach().numpy().ravel()
            for key, parameter in ours.model.named_parameters()
            if not unused & set(key.split("."))
        ]
    )
    np.testing.assert_array_equal(np.sort(found), np.sort(wanted))


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_matrices_are_rounded_and_vectors_are_not(dtype: str, tmp_path: Path) -> None:
    ours = source("gpt2")
    for kind in ("fp32", dtype):
        write(ours, "gguf", tmp_path / kind, kind)
    wide, narrow = (gguf.GGUFReader(tmp_path / kind).tensors for kind in ("fp32", dtype))
    torch_type = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    types = {"fp16": gguf.GGMLQuantizationType.F16, "bf16": gguf.GGMLQuantizationType.BF16}
    for exact, rounded in zip(wide, narrow, strict=True):
        wanted = torch.from_numpy(exact.data.copy())
        is_narrow = wanted.ndim == 2 and exact.name != "position_embd.weight"
        assert (rounded.tensor_type == types[dtype]) == is_narrow
        if is_narrow:
            wanted = wanted.to(torch_type).float()
        found = gguf.quants.dequantize(rounded.data, rounded.tensor_type)
        np.testing.assert_array_equal(found.reshape(wanted.shape), wanted.numpy())


def test_the_tokenizer_in_it_gives_the_same_ids(tmp_path: Path) -> None:
    """By way of Hugging Face's library, from what the file says and nothing else."""
    import tokenizers

    write(source("llama"), "gguf", tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    tokens, types, merges, pre, model, add_bos, bos, eos = (
        reader.get_field(f"tokenizer.ggml.{key}").contents()
        for key in (
            *("tokens", "token_type", "merges", "pre", "model"),
            *("add_bos_token", "bos_token_id", "eos_token_id"),
        )
    )
    assert (pre, model, add_bos) == ("gpt-2", "gpt2", False)
    assert len(tokens) == 300 and types[290:] == [5] * 10 and len(set(tokens)) == 300
    assert tokens[bos] == tokens[eos] == END and types[eos] == 3 and types.count(3) == 1
    theirs = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            {t: i for i, t in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges]
        )
    )
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.add_special_tokens([t for t, kind in zip(tokens, types, strict=True) if kind == 3])
    text = f"{TEXT}{END} hello\n\n\n it's\x00\x7f\xad {END}"
    assert theirs.encode(text).ids == tokenizer().encode(text)


@pytest.mark.parametrize("pattern", ["llama3", "qwen2", "qwen3_5"])
def test_patterns_have_their_names(pattern: str, tmp_path: Path) -> None:
    whole = bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], pattern=pattern)
    ours = replace(source("llama"), tokenizer=whole)
    assert write(ours, "gguf", tmp_path / "m") == [
        "no token ends a text: llama.cpp takes number 11 for it"
    ]
    names = {"llama3": "llama-bpe", "qwen2": "qwen2", "qwen3_5": "qwen35"}
    assert pre_of(tmp_path / "m") == names[pattern]


def test_what_takes_tokens_before_merges_is_not_named_where_that_matters(tmp_path: Path) -> None:
    """Merged first, "bc" leaves "abc" no way to its own token."""
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"bc", 257: b"ab", 258: b"abc"}
    merges = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    odd = bl.Tokenizer(vocab, merges, [END], pattern="llama3")
    assert odd.encode("abc") != [258]
    ours = replace(source("llama"), tokenizer=odd)
    write(ours, "gguf", tmp_path / "m")
    assert pre_of(tmp_path / "m") == "dbrx"


@pytest.mark.parametrize("pattern", ["cl100k", "o200k"])
def test_a_pattern_that_llama_cpp_has_not_quite_is_said(pattern: str, tmp_path: Path) -> None:
    remarks = write(source("llama", pattern), "gguf", tmp_path / "m")
    assert len(remarks) == 1 and f"the pattern {pattern}" in remarks[0]


def pre_of(path: Path) -> str:
    return gguf.GGUFReader(path).get_field("tokenizer.ggml.pre").contents()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (tiny(position=ALiBiConfig()), "llama, .*: position.kind is 'alibi', not 'rotary'"),
        (tiny(ffn=GELUConfig()), "ffn.kind is 'gelu'"),
        (tiny(attention=MultiHeadConfig(window=4)), "attention.window is 4, not None"),
        (tiny(attention=MultiHeadConfig(soft_cap=4.0)), "attention.soft_cap is 4.0, not None"),
        (tiny(position=RotaryConfig(fraction=0.5)), "position.fraction is 0.5, not 1.0"),
        (tiny(final_norm=False), "final_norm is False, not True"),
        (
            tiny(attention=MultiHeadConfig(qk_norm=RMSNormConfig(eps=1e-3))),
            "qwen3, .*: attention.qk_norm.eps is 0.001, not norm.eps",
        ),
        (tiny(block=ParallelConfig()), "block.kind is 'parallel', not 'pre'"),
        (
            replace(MODELS["gemma2"], embedding_scale=None),
            "gemma2, .*: embedding_scale is None, not sqrt",
        ),
        (replace(MODELS["gemma2"], logit_soft_cap=None), "logit_soft_cap is missing"),
    ],
)
def test_what_no_architecture_has_is_refused_by_its_key(
    config: ModelConfig, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write(Source(randomized(config)), "gguf", tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())


def test_a_pattern_of_ones_own_is_refused(tmp_path: Path) -> None:
    own = bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], pattern=r"\w+|\W+")
    with pytest.raises(ValueError, match=r"no name for the tokenizer's pattern .*gpt2, llama3"):
        write(replace(source("llama"), tokenizer=own), "gguf", tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())


def test_without_a_tokenizer_the_file_says_so(tmp_path: Path) -> None:
    remarks = write(replace(source("llama"), tokenizer=None), "gguf", tmp_path / "m")
    assert "no tokenizer" in remarks[0]
    reader = gguf.GGUFReader(tmp_path / "m")
    assert reader.get_field("tokenizer.ggml.model").contents() == "none"
