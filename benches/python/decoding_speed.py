"""Tokens out of a model, one after the other: byteloom beside Hugging Face's Llama.

Both have the same sizes, random weights in bf16 (fp32 on a CPU), a cache of fixed size and a
compiled step; prompts of 32 tokens, greedy. Each runs in a fresh process; the time is the median of
three generations after two first ones. The bandwidth is the bytes of weights and of the cache so
far that a step must read, over its time.

Examples:
  python benches/python/decoding_speed.py --batch 1 64             # on a GPU
  python benches/python/decoding_speed.py --device cpu --model small --tokens 64
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

#: (layers, d_model, heads, d_ff, context, vocabulary)
MODELS = {
    "134m": (12, 768, 12, 2048, 1024, 32_000),
    "small": (4, 256, 8, 704, 256, 10_000),
}
PROMPT = 32


def byteloom(args: argparse.Namespace, batch: int, prompts: torch.Tensor) -> Callable[[], Any]:
    from byteloom.generation import Decoder
    from byteloom.model import ModelConfig
    from byteloom.nn import SwiGLUConfig

    layers, d_model, heads, d_ff, context, vocab = MODELS[args.model]
    config = ModelConfig(
        vocab_size=vocab,
        context_length=context,
        d_model=d_model,
        num_layers=layers,
        num_heads=heads,
        ffn=SwiGLUConfig(d_ff=d_ff),
    )
    model = config.build(0).to(args.device).eval()
    decoder = Decoder(model, compiled=not args.eager, dtype=dtype_of(args.device))

    def generate() -> torch.Tensor:
        logits, ids = decoder.read(prompts), []
        for _ in range(args.tokens):
            ids.append(logits.argmax(-1))
            logits = decoder.step(ids[-1])
        return torch.stack(ids, dim=1)

    return generate


def huggingface(args: argparse.Namespace, batch: int, prompts: torch.Tensor) -> Callable[[], Any]:
    from transformers import LlamaConfig, LlamaForCausalLM

    layers, d_model, heads, d_ff, context, vocab = MODELS[args.model]
    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab,
            hidden_size=d_model,
            intermediate_size=d_ff,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=context,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    model = model.to(args.device, dtype_of(args.device)).eval()
    model.generation_config.cache_implementation = "static"
    model.generation_config.pad_token_id = 0
    # On a GPU its `generate` compiles the step by itself, as a graph, where the cache is static.
    model.generation_config.disable_compile = args.eager
    if args.device == "cpu" and not args.eager:
        model.forward = torch.compile(model.forward, fullgraph=True)
    mask = torch.ones_like(prompts)

    def generate() -> torch.Tensor:
        return model.generate(
            prompts,
            attention_mask=mask,
            max_new_tokens=args.tokens,
            min_new_tokens=args.tokens,
            do_sample=False,
        )

    return generate


CONTESTANTS = {"byteloom": byteloom, "huggingface": huggingface}


def dtype_of(device: str) -> torch.dtype:
    return torch.bfloat16 if device == "cuda" else torch.float32


def measure(args: argparse.Namespace, name: str, batch: int) -> list[float]:
    """Seconds of three generations, after one that compiles."""
    torch.manual_seed(0)
    vocab = MODELS[args.model][-1]
    prompts = torch.randint(vocab, (batch, PROMPT), device=args.device)
    generate, times = CONTESTANTS[name](args, batch, prompts), []
    for _ in range(5):
        begin = time.perf_counter()
        generate()
        if args.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return times[2:]


def bytes_a_step(args: argparse.Namespace, batch: int) -> float:
    """Weights, but for the table of embeddings, and half of the cache that is filled in the end."""
    layers, d_model, _, d_ff, _, vocab = MODELS[args.model]
    weights = layers * (4 * d_model**2 + 3 * d_model * d_ff) + vocab * d_model
    cache = 2 * layers * d_model * batch * (PROMPT + args.tokens / 2)
    return (weights + cache) * dtype_of(args.device).itemsize


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="134m")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--tokens", type=int, default=256, help="that each text gets")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--only", choices=CONTESTANTS)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(measure(args, args.worker[0], int(args.worker[1]))))
        return 0
    for batch in args.batch:
        for name in [args.only] if args.only else CONTESTANTS:
            command = [sys.executable, __file__, *sys.argv[1:], "--worker", name, str(batch)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name}: {done.stderr[-2000:]}", flush=True)
                continue
            seconds = statistics.median(json.loads(done.stdout.splitlines()[-1]))
            rate = bytes_a_step(args, batch) * args.tokens / seconds
            print(
                f"{args.model:6} batch {batch:3} {name:12} {batch * args.tokens / seconds:10,.0f} "
                f"tokens/s  {1e3 * seconds / args.tokens:7.2f} ms a step  {rate / 1e9:7.1f} GB/s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
