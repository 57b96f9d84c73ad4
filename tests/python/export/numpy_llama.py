"""llama.cpp's "llama" and its kin with experts in numpy, from the file alone.

Slow, obvious, no byteloom.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader

#: Whose numbers half a head apart turn together; whose experts' weights are made to add up to 1.
HALVES = ("qwen3moe", "qwen2moe", "olmoe", "bailingmoe2")
NORMALISED = ("llama", "qwen3moe", "ernie4_5-moe")


def softmax(x: np.ndarray) -> np.ndarray:
    """Of the last dimension."""
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def logits(path: Path, ids: list[int]) -> np.ndarray:
    """The logits behind each token of a text."""
    reader = GGUFReader(path)
    weights = {t.name: t.data.astype(np.float64) for t in reader.tensors}

    architecture = reader.get_field("general.architecture").contents()

    def key(name: str, default: float = 0) -> float:
        field = reader.get_field(f"{architecture}.{name}")
        return default if field is None else field.contents()

    def mapped(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        mean = (x**2).mean(-1, keepdims=True)
        return (
            x / np.sqrt(mean + key("attention.layer_norm_rms_epsilon")) * weights[f"{name}.weight"]
        )

    d_head, kv_heads = int(key("attention.key_length")), int(key("attention.head_count_kv"))
    heads, seq = int(key("attention.head_count")), len(ids)
    frequencies = key("rope.freq_base") ** -(np.arange(0, d_head, 2) / d_head)
    frequencies = frequencies / weights.get("rope_freqs.weight", 1.0)
    angles = np.arange(seq)[:, None] * frequencies

    def turned(x: np.ndarray) -> np.ndarray:
        """(heads, seq, d_head), of which neighbours are pairs, or numbers half a head apart."""
        cos, sin = np.cos(angles), np.sin(angles)
        if architecture in HALVES:
            a, b = np.split(x, 2, axis=-1)
            return np.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)
        a, b = x[..., 0::2], x[..., 1::2]
        return np.stack((a * cos - b * sin, a * sin + b * cos), axis=-1).reshape(x.shape)

    def by_heads(x: np.ndarray, count: int) -> np.ndarray:
        return x.reshape(seq, count, d_head).transpose(1, 0, 2)

    def normed_heads(x: np.ndarray, name: str) -> np.ndarray:
        """Queries or keys: each head's numbers, or all."""
        if f"{name}.weight" not in weights:
            return x
        size = len(weights[f"{name}.weight"])
        return normed(x.reshape(seq, -1, size), name).reshape(x.shape)

    def gated(x: np.ndarray, at: str, kind: str = "") -> np.ndarray:
        gate, up = mapped(x, f"{at}ffn_gate{kind}"), mapped(x, f"{at}ffn_up{kind}")
        return mapped(silu(gate) * up, f"{at}ffn_down{kind}")

    def chosen(x: np.ndarray, at: str) -> dict[int, float]:
        """One token's experts and their weights."""
        logits = mapped(x, at + "ffn_gate_inp")
        gating = key("expert_gating_func", 1)
        scores = {1: softmax, 2: sigmoid, 3: lambda x: x}[int(gating)](logits)
        wanted = scores + weights.get(at + "exp_probs_b.bias", 0.0)
        groups = int(key("expert_group_count", 1))
        by_group = np.sort(wanted.reshape(groups, -1), axis=1)[:, -2:].sum(1)
        best = np.argsort(-by_group)[: int(key("expert_group_used_count", groups))]
        numbers = [n for n in np.argsort(-wanted) if n // (len(wanted) // groups) in best]
        numbers = numbers[: int(key("expert_used_count"))]
        found = softmax(scores[numbers]) if gating == 3 else scores[numbers]
        if architecture in NORMALISED or key("expert_weights_norm"):
            found = found / found.sum()
        return dict(zip(numbers, found, strict=True))

    def mixed_experts(x: np.ndarray, at: str) -> np.ndarray:
        found = np.zeros_like(x)
        for i, token in enumerate(x):
            for n, share in chosen(token, at).items():
                gate, up, down = (
                    weights[f"{at}ffn_{part}_exps.weight"][n] for part in ("gate", "up", "down")
                )
                found[i] += share * (down @ (silu(gate @ token) * (up @ token)))
        if at + "ffn_up_shexp.weight" in weights:
            shared = gated(x, at, "_shexp")
            if at + "ffn_gate_inp_shexp.weight" in weights:
                shared *= sigmoid(x @ weights[at + "ffn_gate_inp_shexp.weight"])[:, None]
            found += shared
        return found

    x = weights["token_embd.weight"][ids]
    for i in range(int(key("block_count"))):
        at = f"blk.{i}."
        y = normed(x, at + "attn_norm")
        if at + "attn_qkv.weight" in weights:
            ends = np.cumsum([heads, kv_heads]) * d_head
            q, k, v = np.split(mapped(y, at + "attn_qkv"), ends, axis=1)
        else:
            q, k, v = (mapped(y, f"{at}attn_{part}") for part in "qkv")
        q, k = normed_heads(q, at + "attn_q_norm"), normed_heads(k, at + "attn_k_norm")
        q = turned(by_heads(q, heads))
        k = turned(by_heads(k, kv_heads)).repeat(heads // kv_heads, axis=0)
        v = by_heads(v, kv_heads).repeat(heads // kv_heads, axis=0)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(d_head)
        scores = np.where(np.tri(seq, dtype=bool), scores, -np.inf)
        mixed = softmax(scores) @ v
        x = x + mapped(mixed.transpose(1, 0, 2).reshape(seq, -1), at + "attn_output")
        y = normed(x, at + "ffn_norm")
        is_dense = at + "ffn_up.weight" in weights
        assert is_dense == (i < key("leading_dense_block_count", 0 if key("expert_count") else 99))
        x = x + (gated(y, at) if is_dense else mixed_experts(y, at))
    head = "output" if "output.weight" in weights else "token_embd"
    return mapped(normed(x, "output_norm"), head)
