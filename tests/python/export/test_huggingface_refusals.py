"""What cannot be written or read as a Hugging Face folder is refused, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peers import CONTEXT, VOCAB, make_peer
from safetensors.torch import load_file, save_file

from byteloom import config
from byteloom.export import hf
from byteloom.model import ModelConfig

SIZES = {"vocab_size": VOCAB, "context_length": CONTEXT, "d_model": 32, "num_heads": 4}


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"position": {"kind": "alibi"}}, r"position\.kind rotary, not alibi"),
        ({"position": {"kind": "relative"}}, r"position\.kind rotary, not relative"),
        ({"position": {"fraction": 0.5}}, r"position\.fraction 1\.0, not 0\.5"),
        ({"block": {"kind": "post"}}, r"block\.kind pre, not post"),
        ({"final_norm": False}, r"final_norm True, not False"),
        ({"embedding_norm": True}, r"embedding_norm False, not True"),
        ({"norm": {"kind": "none"}}, r"norm\.kind \w+, not none"),
        ({"ffn": {"kind": "silu"}}, r"ffn\.kind swiglu, not silu"),
        ({"attention": {"soft_cap": 30.0}}, r"attention\.soft_cap none, not 30\.0"),
        ({"ffn": {"kind": "experts", "gate": "sigmoid"}}, r"ffn\.gate softmax, not sigmoid"),
        ({"ffn": {"kind": "experts", "scale": 2.5}}, r"ffn\.scale 1\.0, not 2\.5"),
        ({"ffn": {"kind": "experts", "balance_rate": 1e-3}}, r"balance_rate none, not 0\.001"),
        (
            {"ffn": {"kind": "experts", "num_groups": 4, "top_groups": 2}},
            r"ffn\.num_groups 1, not 4",
        ),
        (
            {"block": {"kind": "sandwich"}, "norm": {"kind": "layernorm"}},
            r"block\.kind parallel, not sandwich",
        ),
        (
            {"full_every": 2, "positionless_every": 3, "attention": {"window": 5}},
            r"layers\.(window|places) .*, not ",
        ),
    ],
)
def test_a_model_that_no_architecture_is(over: dict[str, Any], told: str, tmp_path: Path) -> None:
    model = config.load(ModelConfig, {**SIZES, "num_layers": 6, **over}).build(seed=0)
    with pytest.raises(ValueError, match="no Hugging Face architecture is this model.*" + told):
        hf.write(model, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def changed(folder: Path, **over: Any) -> Path:
    """The folder of a tiny Llama, with other settings in its config.json."""
    make_peer("llama2").save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **over}))
    return folder


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"model_type": "mamba"}, r"model_type is 'mamba'; byteloom reads cohere, cohere2, gemma"),
        ({"model_type": None}, "model_type is None"),
        ({"quantization_config": {"bits": 4}}, "the weights are quantized"),
        ({"hidden_act": "mish"}, "hidden_act is 'mish': byteloom has silu"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "rope_type is 'longrope'"),
        ({"rope_scaling": {"rope_type": "linear"}}, "lacks 'factor'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        (
            {"rope_parameters": {"full_attention": {"rope_theta": 1.0}}},
            "rope_parameters differ from layer to layer",
        ),
        ({"num_attention_heads": 5}, "d_model 32 is not divisible by num_heads 5"),
        ({"intermediate_size": 56}, r"mlp\.gate_proj\.weight has shape \(48, 32\); .* \(56, 32\)"),
        ({"num_hidden_layers": 5}, r"the weights lack model\.layers\.4\."),
        ({"num_hidden_layers": 3}, r"the weights have model\.layers\.3\..* lacks"),
        ({"attention_bias": True}, r"the weights lack model\.layers\.0\.self_attn\.q_proj\.bias"),
        ({"hidden_size": "many"}, "d_model: must be a valid integer"),
    ],
)
def test_a_folder_that_byteloom_cannot_be(over: dict[str, Any], told: str, tmp_path: Path) -> None:
    changed(tmp_path, **over)
    if "num_attention_heads" in over:
        changed(tmp_path, **over, head_dim=None, num_key_value_heads=None)
    with pytest.raises(ValueError, match=told) as caught:
        hf.read(tmp_path)
    assert str(tmp_path) in str(caught.value), "the message names the folder"


@pytest.mark.parametrize("missing", ["hidden_size", "vocab_size", "num_attention_heads"])
def test_a_size_that_is_missing_is_named(missing: str, tmp_path: Path) -> None:
    changed(tmp_path)
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text())
    del settings[missing]
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=rf"config\.json: config\.json lacks {missing}"):
        hf.read(tmp_path)


@pytest.mark.parametrize(
    ("peer", "over", "told"),
    [
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "can only do False there"),
        ("command-r", {"use_qk_norm": True}, "use_qk_norm is True: byteloom can only do False"),
        ("qwen2", {"layer_types": ["sliding_attention"]}, "layer_types must be 4 times"),
        (
            "qwen2",
            {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2}
            | {"layer_types": None},
            "layers 1, 2 have full attention: byteloom has that every n-th layer",
        ),
        ("smollm3", {"no_rope_layers": [1, 0, 0, 1]}, "layers 2, 3 have no positions"),
        ("qwen3-moe", {"mlp_only_layers": [1, 2]}, "layers 1, 4 have experts: byteloom has that"),
        ("qwen3-moe", {"mlp_only_layers": [0, 1, 2, 3]}, "no layer has experts"),
        ("qwen2-moe", {"use_sliding_window": True}, "byteloom can only do False there"),
        ("mixtral", {"num_local_experts": 6}, r"gate\.weight has shape \(5, 32\)"),
    ],
)
def test_layers_and_options_that_byteloom_has_not(
    peer: str, over: dict[str, Any], told: str, tmp_path: Path
) -> None:
    make_peer(peer).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **over}))
    with pytest.raises(ValueError, match=told):
        hf.read(tmp_path)


def test_files_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        hf.read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        hf.read(tmp_path)
    changed(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        hf.read(tmp_path)
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="does not read pickled weights"):
        hf.read(tmp_path)
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(FileNotFoundError, match=r"names model-00001-of-00002\.safetensors, which"):
        hf.read(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        hf.read(tmp_path)


def test_a_tokenizer_that_byteloom_has_not_is_no_end(tmp_path: Path) -> None:
    changed(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram", "vocab": []}}')
    with pytest.raises(ValueError, match=r"tokenizer\.json.*read without its tokenizer"):
        hf.read(tmp_path)
    model, tokenizer = hf.read(tmp_path, with_tokenizer=False)
    assert model.config.vocab_size == VOCAB and tokenizer is None


def test_a_folder_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = config.load(ModelConfig, SIZES).build(seed=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        hf.write(model, None, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    with pytest.raises(FileNotFoundError, match="no folder"):
        hf.write(model, None, tmp_path / "no" / "out")

    def fails(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(hf, "card", fails)
    with pytest.raises(OSError, match="disk full"):
        hf.write(model, None, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_an_expert_that_is_missing_or_of_another_size_is_named(tmp_path: Path) -> None:
    make_peer("mixtral").save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors, name = load_file(path), "model.layers.2.block_sparse_moe.experts.3.w2.weight"
    save_file({**tensors, name: tensors[name][:, :-1].contiguous()}, path)
    with pytest.raises(
        ValueError, match=r"the shapes of model\.layers\.2\..*\*\.w2\.weight differ"
    ):
        hf.read(tmp_path)
    del tensors[name]
    save_file(tensors, path)
    with pytest.raises(ValueError, match=r"the weights lack model\.layers\.2\..*experts\.3\.w2"):
        hf.read(tmp_path)
