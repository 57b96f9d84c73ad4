"""Models of transformers read, and written again: the same logits and the same text, both times."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peers import CONTEXT, PEERS, VOCAB, by_chance, ids, make_peer
from torch.testing import assert_close

from byteloom import config, presets
from byteloom.export import hf
from byteloom.export.hf.canonical import canonical
from byteloom.export.hf.families import FAMILIES
from byteloom.export.hf.family import Family
from byteloom.generation import generate_ids
from byteloom.model import ModelConfig
from byteloom.nn import ExpertsConfig

transformers = pytest.importorskip("transformers")


def opened(folder: Path) -> Any:
    """The folder as transformers' users open it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    return model.eval()


def assert_same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert wanted.std() > 0.05, "a test in which all logits are alike shows nothing"
    assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_comes_in_and_goes_out_the_same(name: str, tmp_path: Path) -> None:
    peer, text = make_peer(name), ids()
    peer.save_pretrained(tmp_path / "theirs")
    model, tokenizer = hf.read(tmp_path / "theirs")
    assert tokenizer is None
    with torch.no_grad():
        wanted = peer(text).logits
        assert_same(model(text), wanted)
        hf.write(model, None, tmp_path / "ours")
        again = opened(tmp_path / "ours")
        assert type(again) is type(peer)
        assert_same(again(text).logits, wanted)
    # What byteloom writes, it reads as the same model, to the bit.
    ours, _ = hf.read(tmp_path / "ours")
    assert canonical(ours.config) == canonical(model.config)
    assert all(torch.equal(w, ours.state_dict()[n]) for n, w in model.state_dict().items())


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_writes_the_same_text(name: str, tmp_path: Path) -> None:
    peer, prompt = make_peer(name), ids(1, 8)
    peer.save_pretrained(tmp_path / "theirs")
    model, _ = hf.read(tmp_path / "theirs")
    wanted = peer.generate(prompt, max_new_tokens=16, do_sample=False, use_cache=True)
    found = generate_ids(model, prompt[0].tolist(), max_new_tokens=16, temperature=0.0)
    assert list(found) == wanted[0, 8:].tolist()
    assert len(set(wanted[0].tolist())) > 3


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_in_small_goes_out_and_comes_in(name: str, tmp_path: Path) -> None:
    full = presets.load(name)
    small: dict[str, Any] = {
        "vocab_size": VOCAB,
        "context_length": CONTEXT,
        "num_heads": 4,
        "num_layers": 4,
    }
    small |= {"d_model": 32, "ffn": {"d_ff": 48}}
    small["embedding_scale"] = full.embedding_scale and 32**0.5
    attention = full.attention
    small["attention"] = {
        "num_kv_heads": attention.num_kv_heads and 2,
        "d_head": attention.d_head and 8,
        "scale": attention.scale and 8**-0.5,
        "window": attention.window and 5,
    }
    if isinstance(full.ffn, ExpertsConfig):
        small["ffn"] = {"expert": {"d_ff": 16}, "num_experts": 6, "top_k": min(full.ffn.top_k, 3)}
    if name == "llama3":
        small["position"] = {"scaling": {"original_context": 16}}
    config = presets.load(name, **_without_none(small))
    model = config.build().eval()
    by_chance(model)
    hf.write(model, None, tmp_path / "ours")
    with torch.no_grad():
        assert_same(opened(tmp_path / "ours")(ids()).logits, model(ids()))
    again, _ = hf.read(tmp_path / "ours")
    with torch.no_grad():
        assert torch.equal(again(ids()), model(ids()))


def test_a_gemma_2_whose_windows_hide_nothing_is_opened(tmp_path: Path) -> None:
    sizes = {"vocab_size": VOCAB, "context_length": CONTEXT, "num_layers": 2, "d_model": 32}
    sizes |= {"num_heads": 4, "embedding_scale": 32**0.5, "ffn": {"d_ff": 48}}
    scale = {"num_kv_heads": 2, "d_head": 8, "scale": 8**-0.5}
    model = presets.load("gemma2", **sizes, attention=scale).build().eval()
    assert model.config.attention.window > CONTEXT, "as published"
    by_chance(model)
    hf.write(model, None, tmp_path / "ours")
    with torch.no_grad():
        assert_same(opened(tmp_path / "ours")(ids()).logits, model(ids()))
    again, _ = hf.read(tmp_path / "ours")
    assert canonical(again.config) == canonical(model.config)


def _without_none(tables: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tables.items()
        if value is not None
    }


EXPERTS: dict[str, Any] = {"kind": "experts", "num_experts": 4}
QK = {"attention": {"qk_norm": {"kind": "rmsnorm"}, "qk_norm_over": "head"}}


@pytest.mark.parametrize(
    ("over", "architecture"),
    [
        ({}, "LlamaForCausalLM"),
        ({"tie_embeddings": True}, "LlamaForCausalLM"),
        ({"position": {"layout": "half"}, "ffn": {"kind": "geglu"}}, "LlamaForCausalLM"),
        ({"position": {"scaling": {"kind": "ntk", "factor": 4.0}}}, "LlamaForCausalLM"),
        ({"attention": {"window": 5}}, "MistralForCausalLM"),
        ({"attention": {"window": 5, "bias": True}}, "Qwen2ForCausalLM"),
        ({"full_every": 3, "attention": {"window": 5}}, "MinistralForCausalLM"),
        ({"d_model": 30, "attention": {"d_head": 8}}, "MistralForCausalLM"),
        # A window that reaches over the whole text is none.
        ({"attention": {"window": 99}}, "LlamaForCausalLM"),
        ({"position": {"kind": "none"}}, "SmolLM3ForCausalLM"),
        ({"positionless_every": 3}, "SmolLM3ForCausalLM"),
        ({"block": {"residual_scale": 0.5}, "logit_scale": 0.25}, "GraniteForCausalLM"),
        ({"attention": {"scale": 0.3}}, "GraniteForCausalLM"),
        (
            {"attention": {"qk_norm": {"kind": "rmsnorm"}, "qk_norm_over": "head"}},
            "Qwen3ForCausalLM",
        ),
        (
            {"block": {"kind": "parallel"}, "norm": {"kind": "layernorm"}}
            | {"position": {"layout": "half"}, "logit_scale": 0.5},
            "CohereForCausalLM",
        ),
        (
            {"embedding_norm": True, "norm": {"gain": False}, "ffn": {"kind": "relu_squared"}}
            | {"attention": {"qk_norm": {"kind": "rmsnorm", "gain": False}}},
            "NanoChatForCausalLM",
        ),
        # nanoGPT without biases: those of the architecture are zeros.
        (
            {"norm": {"kind": "layernorm"}, "position": {"kind": "learned"}}
            | {"ffn": {"kind": "gelu"}, "tie_embeddings": True},
            "GPT2LMHeadModel",
        ),
        ({"norm": {"kind": "layernorm"}, "ffn": {"kind": "relu"}}, "Starcoder2ForCausalLM"),
        ({"ffn": EXPERTS}, "MixtralForCausalLM"),
        ({"ffn": {**EXPERTS, "gate": "softmax_top_k", "capacity": 1.0}}, "MixtralForCausalLM"),
        ({"ffn": {**EXPERTS, "num_groups": 2, "top_groups": 2}}, "MixtralForCausalLM"),
        ({"ffn": {**EXPERTS, "first_dense": 1, "normalise": False}, **QK}, "Qwen3MoeForCausalLM"),
        (
            {"ffn": {**EXPERTS, "shared": {"kind": "swiglu"}, "shared_gate": True}},
            "Qwen2MoeForCausalLM",
        ),
        # The gains that the architecture has are ones.
        ({"norm": {"gain": False}}, "LlamaForCausalLM"),
    ],
)
def test_byteloom_models_find_their_architecture(
    over: dict[str, Any], architecture: str, tmp_path: Path
) -> None:
    sizes = {"vocab_size": VOCAB, "context_length": CONTEXT, "d_model": 32, "num_heads": 4}
    model = config.load(ModelConfig, {**sizes, **over}).build(seed=0).eval()
    by_chance(model)
    hf.write(model, None, tmp_path / "ours")
    peer = opened(tmp_path / "ours")
    assert type(peer).__name__ == architecture
    again, _ = hf.read(tmp_path / "ours")
    with torch.no_grad():
        assert_same(peer(ids()).logits, model(ids()))
        assert_same(again(ids()), model(ids()))


MANY_HEADS = {"mistral", "ministral", "qwen2", "qwen3", "gemma", "starcoder2"}
MANY_HEADS |= {"mixtral", "qwen2_moe", "qwen3_moe"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_what_a_folder_does_not_say_is_what_transformers_takes(
    family: Family, tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96}
    sizes = {"vocab_size": 50, "num_hidden_layers": 6, **sizes}
    if family.model_type == "gpt2":
        sizes = {"vocab_size": 50, "n_embd": 64, "n_head": 4, "n_layer": 6}
    elif family.model_type in MANY_HEADS:
        sizes["num_attention_heads"] = 32  # theirs of keys and values are 2, 8, 16 or 32
    settings = {"model_type": family.model_type, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    _, said = hf.read_config(tmp_path)
    full = transformers.AutoConfig.for_model(**settings)
    if getattr(full, "head_dim", "") is None:
        del full.head_dim
    full.save_pretrained(tmp_path)
    assert len(json.loads((tmp_path / "config.json").read_text())) > len(settings) + 5
    _, found = hf.read_config(tmp_path)
    assert canonical(said) == canonical(found)


def test_settings_of_transformers_4_are_understood(tmp_path: Path) -> None:
    """There, theta stood alone, what scales it apart, and types had another name."""
    peer = make_peer("llama3")
    peer.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text())
    rope = settings.pop("rope_parameters")
    settings["rope_theta"] = rope.pop("rope_theta")
    rope["type"] = rope.pop("rope_type")
    settings |= {"rope_scaling": rope, "torch_dtype": settings.pop("dtype")}
    path.write_text(json.dumps(settings))
    model, _ = hf.read(tmp_path)
    with torch.no_grad():
        assert_same(model(ids()), peer(ids()).logits)


@pytest.mark.parametrize("kind", ["linear", "yarn", "llama3"])
def test_positions_that_were_stretched_by_1_are_not(kind: str, tmp_path: Path) -> None:
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 1.0}
    rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if kind == "llama3" else {}
    if kind != "linear":
        rope["original_max_position_embeddings"] = 16
    peer = make_peer("llama2", rope_parameters=rope)
    peer.save_pretrained(tmp_path)
    model, _ = hf.read(tmp_path)
    assert model.config.position.scaling is None
    with torch.no_grad():
        assert_same(model(ids()), peer(ids()).logits)


def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    peer = make_peer("qwen2")
    peer.save_pretrained(tmp_path / "theirs", max_shard_size="30KB")
    assert len(list((tmp_path / "theirs").glob("model-*.safetensors"))) > 2
    model, _ = hf.read(tmp_path / "theirs")
    hf.write(model, None, tmp_path / "ours", shard_bytes=30_000)
    files = sorted(path.name for path in (tmp_path / "ours").glob("*.safetensors"))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    with torch.no_grad():
        assert_same(opened(tmp_path / "ours")(ids()).logits, peer(ids()).logits)
    again, _ = hf.read(tmp_path / "ours")
    assert all(torch.equal(w, again.state_dict()[n]) for n, w in model.state_dict().items())


def test_weights_keep_their_type_on_the_way_out(tmp_path: Path) -> None:
    model = ModelConfig(VOCAB, CONTEXT, 32, 1, 2).build(seed=0).bfloat16()
    hf.write(model, None, tmp_path / "ours")
    peer = opened(tmp_path / "ours")
    assert peer.dtype is torch.bfloat16
    again, _ = hf.read(tmp_path / "ours")
    assert again.lm_head.weight.dtype is torch.float32
    assert torch.equal(again.lm_head.weight, model.lm_head.weight.float())


def test_the_first_gpt2_is_read(tmp_path: Path) -> None:
    """Its file has no part of the name before the layers, and the masks of old."""
    from safetensors.torch import load_file, save_file

    peer = make_peer("gpt2")
    peer.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    old["h.0.attn.bias"] = torch.ones(1, 1, CONTEXT, CONTEXT).tril()
    save_file(old, tmp_path / "model.safetensors")
    model, _ = hf.read(tmp_path)
    with torch.no_grad():
        assert_same(model(ids()), peer(ids()).logits)


@pytest.mark.parametrize("name", ["mixtral", "qwen3-moe", "qwen2-moe"])
def test_experts_come_one_by_one_or_in_stacks(name: str, tmp_path: Path) -> None:
    """transformers' files have each by itself, its modules have stacks; it reads both."""
    from safetensors.torch import load_file, save_file

    peer = make_peer(name)
    peer.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert any(".experts.0." in key for key in tensors)
    one_by_one, _ = hf.read(tmp_path)
    hf.write(one_by_one, None, tmp_path / "ours")
    assert load_file(tmp_path / "ours" / "model.safetensors").keys() == tensors.keys()
    save_file(peer.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    stacks, _ = hf.read(tmp_path)
    with torch.no_grad():
        wanted = peer(ids()).logits
        assert_same(opened(tmp_path)(ids()).logits, wanted)
        assert_same(stacks(ids()), wanted)
    found = one_by_one.state_dict()
    assert all(torch.equal(w, found[n]) for n, w in stacks.state_dict().items())


def test_a_model_that_was_read_trains(tmp_path: Path) -> None:
    make_peer("llama3").save_pretrained(tmp_path)
    model, _ = hf.read(tmp_path)
    assert model.lm_head.weight is model.token_embeddings.weight
    model.loss(ids()[:, :-1], ids()[:, 1:]).objective.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_dropout_goes_along(tmp_path: Path) -> None:
    model = presets.load(
        "gpt2", vocab_size=VOCAB, context_length=CONTEXT, d_model=32, num_heads=4, num_layers=1
    )
    attention = dataclasses.replace(model.attention, dropout=0.125)
    model = dataclasses.replace(model, dropout=0.25, attention=attention)
    hf.write(model.build(seed=0), None, tmp_path / "out")
    settings = opened(tmp_path / "out").config
    assert (settings.embd_pdrop, settings.resid_pdrop, settings.attn_pdrop) == (0.25, 0.25, 0.125)


ROPE: dict[str, Any] = {"rope_scaling": None}
#: The same as test_presets_as_published.py has, as config.json of their time said it.
HUB: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 768, "n_ctx": 1024, "n_head": 12, "n_layer": 12, "n_positions": 1024}
    | {"activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "vocab_size": 50257},
    "llama2": {"hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 4096}
    | {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32}
    | {"hidden_act": "silu", "rms_norm_eps": 1e-05, "vocab_size": 32000, **ROPE},
    "llama3": {"hidden_size": 4096, "intermediate_size": 14336, "rope_theta": 500000.0}
    | {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8}
    | {"rms_norm_eps": 1e-05, "vocab_size": 128256, "max_position_embeddings": 131072}
    | {"rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
       | {"original_max_position_embeddings": 8192, "rope_type": "llama3"}},
    "qwen2": {"hidden_size": 3584, "intermediate_size": 18944, "max_window_layers": 28}
    | {"num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4}
    | {"rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072}
    | {"use_sliding_window": False, "vocab_size": 152064, "max_position_embeddings": 131072},
    "qwen3": {"hidden_size": 4096, "intermediate_size": 12288, "head_dim": 128, **ROPE}
    | {"num_attention_heads": 32, "num_hidden_layers": 36, "num_key_value_heads": 8}
    | {"rms_norm_eps": 1e-06, "rope_theta": 1000000, "max_position_embeddings": 40960}
    | {"sliding_window": None, "use_sliding_window": False, "vocab_size": 151936},
    "gemma2": {"hidden_size": 2304, "intermediate_size": 9216, "head_dim": 256}
    | {"num_attention_heads": 8, "num_hidden_layers": 26, "num_key_value_heads": 4}
    | {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"}
    | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096}
    | {"query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "vocab_size": 256000}
    | {"rope_theta": 10000.0, "max_position_embeddings": 8192},
    "olmo2": {"hidden_size": 4096, "intermediate_size": 11008, "rope_theta": 500000, **ROPE}
    | {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32}
    | {"rms_norm_eps": 1e-06, "vocab_size": 100352, "max_position_embeddings": 4096},
    "command-r": {"hidden_size": 8192, "intermediate_size": 22528, "logit_scale": 0.0625}
    | {"num_attention_heads": 64, "num_hidden_layers": 40, "num_key_value_heads": 64}
    | {"layer_norm_eps": 1e-05, "rope_theta": 8000000.0, "use_qk_norm": False}
    | {"vocab_size": 256000, "max_position_embeddings": 8192},
    "command-r7b": {"hidden_size": 4096, "intermediate_size": 14336, "logit_scale": 0.25}
    | {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8}
    | {"head_dim": 128, "layer_norm_eps": 1e-05, "rope_theta": 50000, "sliding_window": 4096}
    | {"sliding_window_pattern": 4, "vocab_size": 256000, "max_position_embeddings": 132096},
    "smollm3": {"hidden_size": 2048, "intermediate_size": 11008, "rope_theta": 5000000.0, **ROPE}
    | {"num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 4}
    | {"no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0] * 9, "vocab_size": 128256}
    | {"rms_norm_eps": 1e-06, "use_sliding_window": False, "max_position_embeddings": 65536},
    "nanochat": {"hidden_size": 1280, "intermediate_size": 5120, "hidden_act": "relu2"}
    | {"num_attention_heads": 10, "num_hidden_layers": 20, "num_key_value_heads": 10}
    | {"final_logit_softcapping": 15.0, "rms_norm_eps": 1e-06, "vocab_size": 65536},
    "mixtral": {"hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768}
    | {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8}
    | {"num_experts_per_tok": 2, "num_local_experts": 8, "hidden_act": "silu"}
    | {"output_router_logits": False, "router_aux_loss_coef": 0.02, "sliding_window": None}
    | {"rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "vocab_size": 32000},
    "qwen3-moe": {"hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768}
    | {"num_attention_heads": 32, "num_hidden_layers": 48, "num_key_value_heads": 4}
    | {"num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": True, "head_dim": 128}
    | {"decoder_sparse_step": 1, "mlp_only_layers": [], "max_window_layers": 48, **ROPE}
    | {"rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "max_position_embeddings": 40960}
    | {"sliding_window": None, "use_sliding_window": False, "vocab_size": 151936},
}  # fmt: skip
KINDS = {"llama2": "llama", "llama3": "llama", "command-r": "cohere", "command-r7b": "cohere2"}
KINDS |= {"qwen3-moe": "qwen3_moe"}


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_what_the_published_settings_say(name: str, tmp_path: Path) -> None:
    """And transformers takes them for a model of as many parameters."""
    settings = {"model_type": KINDS.get(name, name), **HUB[name]}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    _, found = hf.read_config(tmp_path)
    assert canonical(found) == canonical(presets.load(name))
    peer_config = transformers.AutoConfig.from_pretrained(tmp_path)
    with torch.device("meta"):
        peer = transformers.AutoModelForCausalLM.from_config(peer_config)
        model = found.build()
    assert peer.num_parameters() == model.num_parameters()
