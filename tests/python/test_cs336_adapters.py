"""Every row of the course's contract, through the file that course users drop in."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from oracles import slow_bpe

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import cs336_adapters as adapters  # noqa: E402

CONTRACT = [
    "run_linear",
    "run_embedding",
    "run_swiglu",
    "run_scaled_dot_product_attention",
    "run_multihead_self_attention",
    "run_multihead_self_attention_with_rope",
    "run_rope",
    "run_transformer_block",
    "run_transformer_lm",
    "run_rmsnorm",
    "run_silu",
    "run_get_batch",
    "run_softmax",
    "run_cross_entropy",
    "run_gradient_clipping",
    "get_adamw_cls",
    "run_get_lr_cosine_schedule",
    "run_save_checkpoint",
    "run_load_checkpoint",
    "get_tokenizer",
    "run_train_bpe",
]


@pytest.fixture
def rand() -> Callable[..., torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_every_function_is_there_and_only_public_names_are_used() -> None:
    assert all(callable(getattr(adapters, name)) for name in CONTRACT)
    tree = ast.parse((ROOT / "scripts" / "cs336_adapters.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not any(
                part.startswith("_")
                for part in (node.module or "").split(".")
                if part != "__future__"
            )
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr


def test_layers(rand: Callable[..., torch.Tensor]) -> None:
    x = rand(2, 3, 8)
    w = rand(5, 8)
    close(adapters.run_linear(8, 5, w, x), x @ w.T)
    ids = torch.tensor([[0, 4], [2, 2]])
    close(adapters.run_embedding(5, 8, w, ids), w[ids])
    w1, w2, w3 = rand(16, 8), rand(8, 16), rand(16, 8)
    close(adapters.run_swiglu(8, 16, w1, w2, w3, x), (F.silu(x @ w1.T) * (x @ w3.T)) @ w2.T)
    gain = rand(8)
    close(adapters.run_rmsnorm(8, 1e-5, gain, x), F.rms_norm(x, (8,), gain, 1e-5))
    close(adapters.run_silu(x), F.silu(x))
    close(adapters.run_softmax(x + 1e4, 1), F.softmax(x + 1e4, 1))
    logits, targets = rand(6, 9) * 1000, torch.arange(6)
    close(adapters.run_cross_entropy(logits, targets), F.cross_entropy(logits, targets))


def test_attention(rand: Callable[..., torch.Tensor]) -> None:
    q, k, v = rand(2, 4, 6, 8), rand(2, 4, 5, 8), rand(2, 4, 5, 7)
    mask = rand(6, 5) > 0
    mask[:, 0] = True
    close(
        adapters.run_scaled_dot_product_attention(q, k, v, mask),
        F.scaled_dot_product_attention(q, k, v, mask),
    )
    x = rand(2, 6, 16)
    weights = [rand(16, 16) / 4 for _ in range(4)]
    peer = torch.nn.MultiheadAttention(16, 4, bias=False, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat(weights[:3]))
        peer.out_proj.weight.copy_(weights[3])
    causal = torch.triu(torch.ones(6, 6, dtype=torch.bool), 1)
    want = peer(x, x, x, attn_mask=causal, need_weights=False)[0].detach()
    close(adapters.run_multihead_self_attention(16, 4, *weights, x).detach(), want)


def rotate(x: torch.Tensor, theta: float, positions: torch.Tensor) -> torch.Tensor:
    """Rotary positions as multiplication of complex numbers."""
    d = x.shape[-1]
    frequencies = theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    turn = torch.polar(torch.ones(()).double(), positions[..., None].double() * frequencies)
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2).float()


def test_rope(rand: Callable[..., torch.Tensor]) -> None:
    x = rand(3, 7, 8)
    positions = torch.tensor([5, 0, 2, 11, 3, 3, 10])
    close(adapters.run_rope(8, 10_000.0, 12, x, positions), rotate(x, 10_000.0, positions))
    x, weights = rand(2, 6, 16), [rand(16, 16) / 4 for _ in range(4)]

    def heads(weight: torch.Tensor) -> torch.Tensor:
        return (x @ weight.T).unflatten(-1, (4, 4)).transpose(1, 2)

    for positions in (None, torch.arange(6)[None] + 3):
        at = torch.arange(6) if positions is None else positions[:, None]
        q, k = rotate(heads(weights[0]), 100.0, at), rotate(heads(weights[1]), 100.0, at)
        mixed = F.scaled_dot_product_attention(q, k, heads(weights[2]), is_causal=True)
        want = mixed.transpose(1, 2).flatten(-2) @ weights[3].T
        got = adapters.run_multihead_self_attention_with_rope(
            16, 4, 20, 100.0, *weights, x, positions
        )
        close(got.detach(), want)


def make_weights(rand: Callable[..., torch.Tensor], d: int, d_ff: int) -> dict[str, torch.Tensor]:
    names = {
        f"attn.{name}.weight": (d, d) for name in ("q_proj", "k_proj", "v_proj", "output_proj")
    }
    names |= {"ln1.weight": (d,), "ln2.weight": (d,)}
    names |= {"ffn.w1.weight": (d_ff, d), "ffn.w2.weight": (d, d_ff), "ffn.w3.weight": (d_ff, d)}
    return {name: rand(*shape) / d**0.5 for name, shape in names.items()}


def block_oracle(
    w: dict[str, torch.Tensor], x: torch.Tensor, heads: int, theta: float
) -> torch.Tensor:
    """A pre-norm block from the other adapters, each of which has its own oracle above."""
    d = x.shape[-1]
    attention = [w[f"attn.{name}.weight"] for name in ("q_proj", "k_proj", "v_proj", "output_proj")]
    x = x + adapters.run_multihead_self_attention_with_rope(
        d, heads, 32, theta, *attention, F.rms_norm(x, (d,), w["ln1.weight"], 1e-5)
    )
    h = F.rms_norm(x, (d,), w["ln2.weight"], 1e-5)
    gate, up = h @ w["ffn.w1.weight"].T, h @ w["ffn.w3.weight"].T
    return x + (F.silu(gate) * up) @ w["ffn.w2.weight"].T


def test_block_and_language_model(rand: Callable[..., torch.Tensor]) -> None:
    x = rand(2, 10, 16)
    w = make_weights(rand, 16, 40)
    got = adapters.run_transformer_block(16, 4, 40, 32, 1e4, w, x)
    close(got.detach(), block_oracle(w, x, 4, 1e4).detach())

    layers = [make_weights(rand, 16, 40) for _ in range(2)]
    weights = {f"layers.{i}.{k}": v for i, layer in enumerate(layers) for k, v in layer.items()}
    weights |= {
        "token_embeddings.weight": rand(11, 16),
        "ln_final.weight": rand(16),
        "lm_head.weight": rand(11, 16),
    }
    ids = torch.randint(0, 11, (2, 9))
    h = weights["token_embeddings.weight"][ids]
    for layer in layers:
        h = block_oracle(layer, h, 4, 1e4)
    want = F.rms_norm(h, (16,), weights["ln_final.weight"], 1e-5) @ weights["lm_head.weight"].T
    got = adapters.run_transformer_lm(11, 32, 16, 2, 4, 40, 1e4, weights, ids)
    close(got.detach(), want.detach())


def test_batch() -> None:
    tokens = np.arange(100, dtype=np.uint16)
    starts = set()
    for _ in range(200):
        x, y = adapters.run_get_batch(tokens, 4, 7, "cpu")
        assert x.shape == y.shape == (4, 7)
        assert x.dtype == y.dtype == torch.long
        assert torch.equal(x + 1, y)
        assert torch.equal(x - x[:, :1], torch.arange(7).expand(4, 7))
        starts.update(x[:, 0].tolist())
    assert starts == set(range(93))


def test_optimizer_clipping_and_schedule(rand: Callable[..., torch.Tensor]) -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(5, 3)) for _ in range(2))
    options = {"lr": 0.1, "weight_decay": 0.1, "betas": (0.9, 0.95), "eps": 1e-8}
    a, b = adapters.get_adamw_cls()([ours], **options), torch.optim.AdamW([theirs], **options)
    for _ in range(20):
        ours.grad = rand(5, 3) * 10
        theirs.grad = ours.grad.clone()
        adapters.run_gradient_clipping([ours], 1.0)
        torch.nn.utils.clip_grad_norm_([theirs], 1.0)
        close(ours.grad, theirs.grad)
        a.step()
        b.step()
        close(ours.detach(), theirs.detach())
    rates = [adapters.run_get_lr_cosine_schedule(i, 1.0, 0.1, 7, 21) for i in range(25)]
    assert rates[0] == 0
    assert rates[7] == 1
    assert rates[14] == pytest.approx(0.55)
    assert rates[21:] == [0.1] * 4


def test_checkpoint(tmp_path: Path, rand: Callable[..., torch.Tensor]) -> None:
    def make() -> SimpleNamespace:
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
        return SimpleNamespace(
            model=model, optimizer=adapters.get_adamw_cls()(model.parameters(), lr=0.1)
        )

    def step(run: SimpleNamespace, x: torch.Tensor) -> None:
        run.optimizer.zero_grad()
        run.model(x).square().sum().backward()
        run.optimizer.step()

    batches = [rand(5, 4) for _ in range(6)]
    first = make()
    for x in batches[:3]:
        step(first, x)
    buffer = io.BytesIO()
    for out in (tmp_path / "a.ckpt", str(tmp_path / "b.ckpt"), buffer):
        adapters.run_save_checkpoint(first.model, first.optimizer, 3, out)
    for x in batches[3:]:
        step(first, x)
    buffer.seek(0)
    for source in (tmp_path / "a.ckpt", str(tmp_path / "b.ckpt"), buffer):
        second = make()
        assert adapters.run_load_checkpoint(source, second.model, second.optimizer) == 3
        for x in batches[3:]:
            step(second, x)
        for p, q in zip(first.model.parameters(), second.model.parameters(), strict=True):
            assert torch.equal(p, q)


def test_tokenizer_and_training(tmp_path: Path) -> None:
    special = ["<|endoftext|>", "<|endoftext|><|endoftext|>"]
    text = "low low lower<|endoftext|>lowest newer newest<|endoftext|>" * 3
    path = tmp_path / "text.txt"
    path.write_text(text)
    vocab, merges = adapters.run_train_bpe(path, 275, special[:1])
    want = slow_bpe.train(slow_bpe.count([text], special[:1]), 275, special[:1])
    assert merges == want
    assert sorted(vocab) == list(range(len(vocab)))
    assert set(vocab.values()) == (
        {b"<|endoftext|>"} | {bytes([b]) for b in range(256)} | {a + b for a, b in merges}
    )
    tokenizer = adapters.get_tokenizer(vocab, merges, special)
    text = "newest<|endoftext|><|endoftext|> lowest<|endoftext|>é🙃"
    ids = tokenizer.encode(text)
    assert [tokenizer.decode([i]) for i in ids].count(special[1]) == 1
    assert tokenizer.decode(ids) == text
    assert list(tokenizer.encode_iterable(iter([text, "low"]))) == ids + tokenizer.encode("low")
    assert tokenizer.decode([tokenizer.encode("é")[0]]) == "\ufffd"
