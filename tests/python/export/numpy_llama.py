"""llama.cpp's architecture "llama" in numpy, from the file alone: slow, obvious, no byteloom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader


def logits(path: Path, ids: list[int]) -> np.ndarray:
    """The logits behind each token of a text."""
    reader = GGUFReader(path)
    weights = {t.name: t.data.astype(np.float64) for t in reader.tensors}

    def key(name: str) -> float:
        return reader.get_field(f"llama.{name}").contents()

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
        """(heads, seq, d_head), of which neighbours are pairs."""
        a, b = x[..., 0::2], x[..., 1::2]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.stack((a * cos - b * sin, a * sin + b * cos), axis=-1).reshape(x.shape)

    def by_heads(x: np.ndarray, count: int) -> np.ndarray:
        return x.reshape(seq, count, d_head).transpose(1, 0, 2)

    x = weights["token_embd.weight"][ids]
    for i in range(int(key("block_count"))):
        at = f"blk.{i}."
        y = normed(x, at + "attn_norm")
        q = turned(by_heads(mapped(y, at + "attn_q"), heads))
        k = turned(by_heads(mapped(y, at + "attn_k"), kv_heads)).repeat(heads // kv_heads, axis=0)
        v = by_heads(mapped(y, at + "attn_v"), kv_heads).repeat(heads // kv_heads, axis=0)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(d_head)
        scores = np.where(np.tri(seq, dtype=bool), scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ v
        x = x + mapped(mixed.transpose(1, 0, 2).reshape(seq, -1), at + "attn_output")
        y = normed(x, at + "ffn_norm")
        gate = mapped(y, at + "ffn_gate")
        up = gate / (1 + np.exp(-gate)) * mapped(y, at + "ffn_up")
        x = x + mapped(up, at + "ffn_down")
    head = "output" if "output.weight" in weights else "token_embd"
    return mapped(normed(x, "output_norm"), head)
