"""nanoGPT's ckpt.pt: written for it, and read from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exported import randomized, some_ids, tiny
from little_gpt import LittleGPT

from byteloom.export import Source, nanogpt, write
from byteloom.model import ModelConfig
from byteloom.nn import GELUConfig, LayerNormConfig, MultiHeadConfig, RMSNormConfig
from byteloom.nn.init import MuPInitConfig
from byteloom.nn.position.learned import LearnedConfig


def gpt(norm: bool, attention: bool, output: bool, ffn: bool) -> ModelConfig:
    """nanoGPT's parts, with biases here or there."""
    return tiny(
        norm=LayerNormConfig(bias=norm),
        position=LearnedConfig(),
        attention=MultiHeadConfig(bias=attention, output_bias=output),
        ffn=GELUConfig(bias=ffn),
        tie_embeddings=True,
        dropout=0.1,
    )


BIASES = [(False,) * 4, (True,) * 4, (False, True, False, False), (True, False, False, True)]


@pytest.mark.parametrize("biases", BIASES)
def test_an_independent_gpt_gives_the_same_logits(
    biases: tuple[bool, bool, bool, bool], tmp_path: Path
) -> None:
    source = Source(randomized(gpt(*biases)), name="tiny", iteration=7)
    write(replace(source, figures={"best_valid_loss": 1.5}), "nanogpt", tmp_path / "ckpt.pt")
    found = torch.load(tmp_path / "ckpt.pt", weights_only=True)
    assert (found["iter_num"], found["best_val_loss"]) == (7, 1.5)
    assert found["model_args"]["bias"] == any(biases)
    theirs = LittleGPT(**found["model_args"]).eval()
    theirs.load_state_dict(found["model"])
    ids = some_ids(256, batch=2)
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids), source.model(ids), atol=1e-5, rtol=1e-5)


def test_training_can_go_on_there(tmp_path: Path) -> None:
    """As train.py resumes: weights, then the optimizer's state, then a step."""
    write(Source(randomized(gpt(*BIASES[1]))), "nanogpt", tmp_path / "ckpt.pt")
    found = torch.load(tmp_path / "ckpt.pt", weights_only=True)
    theirs = LittleGPT(**found["model_args"])
    theirs.load_state_dict(found["model"])
    optimizer = theirs.optimizer()
    optimizer.load_state_dict(found["optimizer"])
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.1, 0.0]
    before = theirs.lm_head.weight.detach().clone()
    theirs(some_ids()).logsumexp(-1).mean().backward()
    optimizer.step()
    assert not torch.equal(theirs.lm_head.weight, before)


@pytest.mark.parametrize("bias", [True, False])
def test_what_nanogpt_wrote_is_read(bias: bool, tmp_path: Path) -> None:
    """As a compiled model is saved there, with the mask of old versions among the weights."""
    args = {"n_layer": 2, "n_head": 4, "n_embd": 32, "block_size": 64, "bias": bias}
    args |= {"vocab_size": 300, "dropout": 0.2}
    torch.manual_seed(3)
    theirs = LittleGPT(**args).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = {f"_orig_mod.{name}": t for name, t in theirs.state_dict().items()}
    state["_orig_mod.transformer.h.0.attn.bias"] = torch.ones(1, 1, 64, 64).tril()
    content = {
        "model": state,
        "model_args": args,
        "iter_num": 20,
        "best_val_loss": torch.tensor(2.5),
    }
    torch.save(content | {"optimizer": theirs.optimizer().state_dict()}, tmp_path / "ckpt.pt")
    ours = nanogpt.read(tmp_path / "ckpt.pt")
    assert ours.iteration == 20 and ours.figures["best_valid_loss"] == 2.5
    assert ours.config.dropout == 0.2 and ours.config.context_length == 64
    ids = some_ids(64, batch=2)
    with torch.no_grad():
        torch.testing.assert_close(ours.model(ids), theirs(ids), atol=1e-5, rtol=1e-5)
    assert ours.model.lm_head.weight is ours.model.token_embeddings.weight


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"tie_embeddings": False}, "nanoGPT .*: tie_embeddings is False, not True"),
        ({"norm": RMSNormConfig()}, "norm.kind is 'rmsnorm', not 'layernorm'$"),
        ({"ffn": GELUConfig(approximate="tanh")}, "ffn.approximate is 'tanh', not 'none'"),
        ({"ffn": GELUConfig(d_ff=100)}, "ffn.d_ff is not 4 d_model, 256"),
        ({"attention": MultiHeadConfig(num_kv_heads=2)}, "attention.num_kv_heads is 2, not None"),
        ({"logit_scale": 0.5}, "logit_scale is 0.5, not 1.0"),
        (
            {"init": MuPInitConfig(base_width=32)},
            "init.kind is 'mup', which multiplies logits by 0.5",
        ),
    ],
)
def test_another_model_is_refused_by_its_key(
    over: dict[str, object], message: str, tmp_path: Path
) -> None:
    source = Source(randomized(replace(gpt(*BIASES[0]), **over)))
    with pytest.raises(ValueError, match=message):
        write(source, "nanogpt", tmp_path / "ckpt.pt")
    assert not list(tmp_path.iterdir())


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ckpt.pt"
    with pytest.raises(FileNotFoundError, match="no file"):
        nanogpt.read(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no checkpoint of nanoGPT"):
        nanogpt.read(path)
    torch.save({"model": {}}, path)
    with pytest.raises(ValueError, match="is no checkpoint of nanoGPT"):
        nanogpt.read(path)
    torch.save({"model": {}, "model_args": {**NANO_ARGS}}, path)
    with pytest.raises(ValueError, match="not those of its model_args"):
        nanogpt.read(path)


NANO_ARGS = {
    **{"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 4},
    **{"bias": False, "vocab_size": 5, "dropout": 0.0},
}


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path("ran").touch, ()


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {}, "model_args": NANO_ARGS, "config": Evil()}, "ckpt.pt")
    with pytest.raises(ValueError, match="is no checkpoint of nanoGPT"):
        nanogpt.read("ckpt.pt")
    assert not Path("ran").exists()
