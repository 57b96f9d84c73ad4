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
from exported import END, MODELS, TEXT, experts, randomized, some_ids, source, tiny, tokenizer
from numpy_llama import logits as numpy_logits

import byteloom as bl
from byteloom.export import Source, write
from byteloom.export.gguf import ARCHITECTURES, choose
from byteloom.model import ModelConfig
from byteloom.nn import (
    GELUConfig,
    MultiHeadConfig,
    ParallelConfig,
    RMSNormConfig,
    RotaryConfig,
    SwiGLUConfig,
)
from byteloom.nn.position.alibi import ALiBiConfig


def test_models_here_cover_all_architectures() -> None:
    chosen = {name: choose(config).name for name, config in MODELS.items()}
    assert all(name.startswith(architecture) for name, architecture in chosen.items())
    assert set(chosen.values()) == {architecture.name for architecture in ARCHITECTURES}


IN_NUMPY = [
    name
    for name, config in MODELS.items()
    if name.startswith("llama") or config.ffn.kind == "experts"
]


@pytest.mark.parametrize("name", IN_NUMPY)
def test_a_llama_from_the_file_alone_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    ours, path = source(name), tmp_path / "model.gguf"
    assert write(ours, "gguf", path) == []
    ids = some_ids()
    with torch.no_grad():
        wanted = ours.model(ids)[0].numpy()
    found = numpy_logits(path, ids[0].tolist())
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["llama", "llama, tied", "qwen2", "gpt2", "qwen2moe", "qwen3moe"])
def test_transformers_reads_it_with_the_same_logits(name: str, tmp_path: Path) -> None:
    """Its reader of GGUF, without from_pretrained, which wants accelerate for it."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    ours, ids, path = source(name), some_ids(batch=2), tmp_path / "model.gguf"
    write(ours, "gguf", path)
    config = AutoConfig.for_model(**load_gguf_checkpoint(str(path))["config"])
    if name == "gpt2":
        config.n_positions = config.n_ctx  # which transformers does not take from the file
    if name.endswith("moe"):  # nor these
        field = gguf.GGUFReader(path).get_field
        config.moe_intermediate_size = field(f"{name}.expert_feed_forward_length").contents()
        config.norm_topk_prob = name == "qwen3moe"
    if name == "qwen2moe":
        size = field(f"{name}.expert_shared_feed_forward_length").contents()
        config.shared_expert_intermediate_size = size
    theirs = AutoModelForCausalLM.from_config(config).eval()
    read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=theirs)["tensors"]
    missing, unexpected = theirs.load_state_dict(read, strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unexpected
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, ours.model(ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama, experts", "qwen3moe", "qwen2moe"])
def test_experts_are_those_of_the_folder_for_transformers(name: str, tmp_path: Path) -> None:
    """Which has one tensor for each expert."""
    from safetensors.numpy import load_file

    ours = source(name)
    write(ours, "gguf", tmp_path / "m")
    write(ours, "hf", tmp_path / "folder")
    theirs = load_file(tmp_path / "folder/model.safetensors")
    part, words = "mlp", {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
    if name == "llama, experts":
        part, words = "block_sparse_moe", {"gate": "w1", "up": "w3", "down": "w2"}
    compared = 0
    for tensor in gguf.GGUFReader(tmp_path / "m").tensors:
        place = tensor.name.split(".")
        if len(place) < 4 or not place[2].startswith("ffn_") or place[2] == "ffn_norm":
            continue
        at, (_, what, *kind) = f"model.layers.{place[1]}.{part}", place[2].split("_")
        if kind == ["exps"]:
            wanted = [f"{at}.experts.{i}.{words[what]}.weight" for i in range(5)]
            np.testing.assert_array_equal(tensor.data, np.stack([theirs[key] for key in wanted]))
        elif kind == ["inp"]:
            np.testing.assert_array_equal(tensor.data, theirs[f"{at}.gate.weight"])
        elif kind == ["inp", "shexp"]:
            np.testing.assert_array_equal(tensor.data, theirs[f"{at}.shared_expert_gate.weight"][0])
        else:
            key = f"{at}.shared_expert.{words[what]}.weight"
            np.testing.assert_array_equal(tensor.data, theirs[key])
        compared += 1
    assert compared == 2 * (8 if name == "qwen2moe" else 4)


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
    width, inner = key("embedding_length"), key("feed_forward_length")
    if "blk.0.ffn_up.weight" in tensors:
        assert tensors["blk.0.ffn_up.weight"].shape == (inner, width)
    if config.ffn.kind == "experts":
        count, inner = key("expert_count"), key("expert_feed_forward_length")
        assert tensors["blk.1.ffn_gate_inp.weight"].shape == (count, width)
        for part in ("gate", "up"):
            assert tensors[f"blk.1.ffn_{part}_exps.weight"].shape == (count, inner, width)
        assert tensors["blk.1.ffn_down_exps.weight"].shape == (count, width, inner)
        assert key("expert_used_count") == config.ffn.top_k
    if config.ffn.kind == "experts" and config.ffn.shared is not None:
        inner = tensors["blk.1.ffn_up_shexp.weight"].shape[0]
        if architecture == "deepseek":
            assert inner == key("expert_shared_count") * key("expert_feed_forward_length")
        else:
            assert inner == key("expert_shared_feed_forward_length")
    queries = key("attention.head_count") * key("attention.key_length")
    assert tensors["blk.1.attn_output.weight"].shape == (key("embedding_length"), queries)
    pairs = key("attention.head_count_kv") * key("attention.value_length")
    if architecture == "bailingmoe2":
        assert tensors["blk.1.attn_qkv.weight"].shape[0] == queries + 2 * pairs
    elif architecture != "gpt2":
        assert tensors["blk.1.attn_k.weight"].shape[0] == pairs
    if architecture != "gpt2":
        assert key("rope.dimension_count") == key("attention.key_length")


WHOLE = ("qwen2", "smollm3", "cohere2", "gpt2", "olmo2", "command-r")


@pytest.mark.parametrize("name", [*WHOLE, "llama, experts", "qwen2moe", "olmoe", "ernie4_5-moe"])
def test_every_weight_is_in_the_file_and_none_is_changed(name: str, tmp_path: Path) -> None:
    ours, path = source(name), tmp_path / "model.gguf"
    write(ours, "gguf", path)
    reader = gguf.GGUFReader(path)
    copied = {"output.weight"} if ours.config.tie_embeddings else set()
    found = np.concatenate([t.data.ravel() for t in reader.tensors if t.name not in copied])
    unused = {"ln2"} if ours.config.block.kind == "parallel" else set()
    wanted = np.concatenate(
        [
            tensor.detach().numpy().ravel()
            for key, tensor in (*ours.model.named_parameters(), *ours.model.named_buffers())
            if not unused & set(key.split(".")) and (tensor.requires_grad or key.endswith("_bias"))
        ]
    )
    np.testing.assert_array_equal(np.sort(found), np.sort(wanted))


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["gpt2", "qwen2moe"])
def test_matrices_are_rounded_and_vectors_and_routers_are_not(
    name: str, dtype: str, tmp_path: Path
) -> None:
    ours = source(name)
    for kind in ("fp32", dtype):
        write(ours, "gguf", tmp_path / kind, kind)
    wide, narrow = (gguf.GGUFReader(tmp_path / kind).tensors for kind in ("fp32", dtype))
    torch_type = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    types = {"fp16": gguf.GGMLQuantizationType.F16, "bf16": gguf.GGMLQuantizationType.BF16}
    for exact, rounded in zip(wide, narrow, strict=True):
        wanted = torch.from_numpy(exact.data.copy())
        is_narrow = wanted.ndim > 1 and exact.name != "position_embd.weight"
        is_narrow = is_narrow and "ffn_gate_inp" not in exact.name
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


OVER_ALL = MultiHeadConfig(qk_norm=RMSNormConfig(), qk_norm_over="all")


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
        (tiny(ffn=experts(every=2)), "llama, .*: ffn.every is 2, not 1"),
        (tiny(ffn=experts(gate="sigmoid")), "ffn.gate is 'sigmoid', not 'softmax' or 'softmax_to"),
        (tiny(ffn=experts(normalise=False)), "llama, .*: ffn.normalise is False, not True"),
        (
            tiny(ffn=experts(num_experts=6, num_groups=3, top_groups=1)),
            "ffn.top_groups is 1, not all 3",
        ),
        (
            tiny(ffn=experts(gate="softmax_top_k", balance_rate=0.1, first_dense=1)),
            "ernie4_5-moe, .*: ffn.gate is 'softmax_top_k', not 'softmax', with ffn.balance_rate",
        ),
        (
            replace(MODELS["qwen3moe"], ffn=experts(balance_rate=0.1)),
            "qwen3moe, .*: ffn.balance_rate is 0.1, not None",
        ),
        (
            tiny(ffn=experts(expert=SwiGLUConfig(bias=True))),
            "llama, .*: ffn.expert.bias is True, not False",
        ),
        (tiny(ffn=experts(expert=GELUConfig())), "ffn.expert.kind is 'gelu', not 'swiglu'"),
        (
            replace(MODELS["ernie4_5-moe"], ffn=experts(first_dense=1, dense=GELUConfig())),
            "ffn.dense.kind is 'gelu', not 'swiglu'",
        ),
        (
            replace(MODELS["deepseek"], ffn=experts(shared=SwiGLUConfig(d_ff=80), normalise=False)),
            "deepseek, .*: ffn.shared.d_ff is 80, no multiple of ffn.expert.d_ff",
        ),
        (
            replace(MODELS["olmoe"], attention=replace(OVER_ALL, num_kv_heads=2)),
            "olmoe, .*: attention.num_kv_heads is 2, not num_heads",
        ),
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
