"""Training by `train-lm`, its logging and data loading included, beside Hugging Face's Llama.

Each contestant trains the same model on the same tokens in a fresh process. byteloom's figures are
those of its own metrics.jsonl; the peer runs the plainest loop that is fast: compiled, autocast,
fused AdamW, batches from main memory. Speeds are medians over windows of steps, after the first.
MFU counts 6 N + 12 L d T operations a token against 989 TFLOPS.

Examples:
  python benches/python/training_speed.py --model course --batch 1024          # on a GPU
  python benches/python/training_speed.py --model small --device cpu --dtype fp32 --batch 8
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

#: (layers, d_model, heads, d_ff, context, vocabulary)
MODELS = {
    "course": (4, 512, 16, 1344, 256, 10_000),
    "134m": (12, 768, 12, 2048, 1024, 32_000),
    "small": (4, 256, 8, 704, 256, 10_000),
    "medium": (4, 512, 16, 1344, 256, 10_000),
}
PEAK = 989e12


def make_tokens(folder: Path, vocab_size: int) -> Path:
    """Random ones: what they say does not change the speed."""
    path = folder / "train.npy"
    ids = np.random.default_rng(0).integers(0, vocab_size, 50_000_000, dtype=np.uint16)
    np.save(path, ids)
    return path


def byteloom(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """`train-lm` as users type it."""
    layers, d_model, heads, d_ff, context, vocab = MODELS[args.model]
    settings: dict[str, Any] = {
        "data": {"train": str(make_tokens(folder, vocab))},
        "model": {
            "vocab_size": vocab,
            "context_length": context,
            "d_model": d_model,
            "num_layers": layers,
            "num_heads": heads,
            "ffn": {"kind": "swiglu", "d_ff": d_ff},
        },
        "training": {
            "steps": args.window * (args.windows + 2),
            "batch_size": args.batch,
            "dtype": args.dtype,
            # On a CPU, compiled code of torch 2.11 is slower than its own kernels.
            "compile": args.device == "cuda" and not args.eager,
            "device": args.device,
            "checkpoint_interval": 1_000_000,
        },
        "logging": {"interval": args.window},
    }
    toml = folder / "config.toml"
    toml.write_text(tomli_w.dumps(settings))
    command = [sys.executable, "-m", "byteloom.cli.train_lm", str(toml), "-o", str(folder / "run")]
    options = [word for pair in args.set for word in ("--" + pair).split("=", 1)]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "tokens_per_second" in record]
    return {
        "speeds": [record["tokens_per_second"] for record in records[2:]],
        "data_wait": statistics.median(record["data_wait"] for record in records[2:]),
        "memory": records[-1]["memory_bytes"],
        "loss": records[-1]["loss"],
    }


def huggingface(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Llama of transformers, compiled, in a plain loop."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from byteloom.data import Batches, TokenFile
    from byteloom.data.prefetching import prefetch
    from byteloom.training.throughput import memory_in_use

    layers, d_model, heads, d_ff, context, vocab = MODELS[args.model]
    device = torch.device(args.device)
    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab,
            hidden_size=d_model,
            intermediate_size=d_ff,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=context,
            attn_implementation="sdpa",
            use_cache=False,
        )
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    forward = model if args.eager else torch.compile(model)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(args.dtype)
    batches = Batches(TokenFile(make_tokens(folder, vocab)), args.batch, context, 0)
    steps, speeds, loss = args.window * (args.windows + 2), [], 0.0
    with prefetch(batches.batch_at, 0, steps, device) as made:
        begin = time.perf_counter()
        for step, (inputs, targets) in enumerate(made, start=1):
            autocast = torch.autocast(device.type, dtype) if dtype else contextlib.nullcontext()
            with autocast:
                logits = forward(inputs).logits
                objective = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1).float(), targets.flatten()
                )
            objective.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % args.window == 0:
                loss, now = objective.item(), time.perf_counter()
                speeds.append(args.window * args.batch * context / (now - begin))
                begin = now
    return {"speeds": speeds[2:], "memory": memory_in_use(device), "loss": loss}


CONTESTANTS = {"byteloom": byteloom, "huggingface": huggingface}


def show(name: str, args: argparse.Namespace, found: dict[str, Any]) -> None:
    """A line of the table."""
    layers, d_model, _, d_ff, context, vocab = MODELS[args.model]
    parameters = 2 * vocab * d_model + layers * (4 * d_model**2 + 3 * d_model * d_ff + 2 * d_model)
    speed = statistics.median(found["speeds"])
    flops = speed * (6 * (parameters + d_model) + 12 * layers * d_model * context)
    mfu = f"{flops / PEAK:6.1%}" if args.device == "cuda" else f"{flops / 1e9:,.0f} GFLOPS"
    data = f"waiting for data {found['data_wait']:.2%}" if "data_wait" in found else ""
    print(
        f"{args.model:8} {args.batch:5} x {context:<5} {args.dtype:5} {name:12} "
        f"{speed:12,.0f} tokens/s  {mfu}  {found['memory'] / 2**30:6.1f} GiB  "
        f"loss {found['loss']:.3f}  {data}  {' '.join(args.set)}",
        flush=True,
    )


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="course")
    parser.add_argument("--batch", type=int, default=1024, help="sequences in a step")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--window", type=int, default=10, help="steps that are timed together")
    parser.add_argument("--windows", type=int, default=3, help="of which the median counts")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--only", choices=CONTESTANTS)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for byteloom"
    )
    parser.add_argument("--worker", choices=CONTESTANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        with tempfile.TemporaryDirectory(prefix="byteloom-bench-") as folder:
            print(json.dumps(CONTESTANTS[args.worker](args, Path(folder))))
        return 0
    for name in [args.only] if args.only else CONTESTANTS:
        command = [sys.executable, __file__, *sys.argv[1:], "--worker", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name}: {done.stderr[-2000:]}", flush=True)
            continue
        show(name, args, json.loads(done.stdout.splitlines()[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
