"""What is learned from the same tokens with as many parameters: byteloom and nanoGPT's recipe.

Contestants, each with some seeds on each text:
  byteloom  train-lm with its defaults
  course    the same with the course's initial weights, betas 0.9 and 0.999, decay 0.01
  nanogpt   GPT-2 of transformers as nanoGPT trains small ones: tied embeddings, learned positions,
            layers initialised with 0.02, betas 0.9 and 0.99, decay 0.1 of matrices; as many layers
            as make at least as many parameters

All take batches in the same order, rise in 100 steps to a learning rate of 1e-3 and fall by a
cosine to a tenth. Prints the validation losses in the end, and draws the curves.

Examples:
  python benches/python/learning.py books.txt code.txt --plot learning.png
  python benches/python/learning.py books.txt --d-model 256 --steps 5000 --device cuda --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

import byteloom as bl
from byteloom import config
from byteloom.cli.common import HelpFormatter, execute, say
from byteloom.markdown import table
from byteloom.plotting import COLOURS, check_plot_path, plot
from byteloom.reporting.history import History
from byteloom.training.config import RunConfig
from byteloom.training.estimate.parameters import count_parameters

LR, WARMUP, CONTEXT = 1e-3, 100, 128


@dataclass(frozen=True)
class Curve:
    """What one training came to."""

    parameters: int
    steps: list[int]
    losses: list[float]
    """On the validation tokens."""


def tables(args: argparse.Namespace, folder: Path, seed: int) -> dict[str, Any]:
    """The configuration that byteloom's contestants share: defaults but for the size of it all."""
    return {
        "data": {name: str(folder / f"{name}.npy") for name in ("train", "valid")},
        "model": {
            "vocab_size": args.vocab_size,
            "context_length": CONTEXT,
            "d_model": args.d_model,
            "num_layers": 4,
            "num_heads": max(1, args.d_model // 32),
        },
        "schedule": {"max_lr": LR, "min_lr": LR / 10, "warmup_steps": WARMUP},
        "training": {
            "steps": args.steps,
            "batch_size": args.batch,
            "seed": seed,
            "eval_interval": max(1, args.steps // 10),
            "eval_batches": 40,
            "checkpoint_interval": 10**9,
            "device": args.device,
            "num_threads": args.threads,
        },
    }


def byteloom(args: argparse.Namespace, folder: Path, seed: int) -> Curve:
    """`train-lm` with its defaults."""
    return train(args, folder, seed, {}, "byteloom")


def course(args: argparse.Namespace, folder: Path, seed: int) -> Curve:
    """With the course's initial weights, and the settings of AdamW's paper."""
    optimizer = {"betas": [0.9, 0.999], "weight_decay": 0.01}
    tables = {"model": {"init": {"kind": "course"}}, "optimizer": optimizer}
    return train(args, folder, seed, tables, "course")


def train(
    args: argparse.Namespace, folder: Path, seed: int, over: dict[str, Any], name: str
) -> Curve:
    """By the command."""
    run = folder / f"{name}-{seed}"
    toml = folder / f"{name}-{seed}.toml"
    settings = config.merge(tables(args, folder, seed), over)
    toml.write_text(tomli_w.dumps(settings))
    command = [sys.executable, "-m", "byteloom.cli.train_lm", str(toml), "-o", str(run)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    steps, losses = History(run / "metrics.jsonl").series("valid_loss")
    parameters = count_parameters(config.load(RunConfig, settings).model).total
    return Curve(parameters, steps.astype(int).tolist(), losses.tolist())


def nanogpt(args: argparse.Namespace, folder: Path, seed: int) -> Curve:
    """GPT-2, in the plain loop of nanoGPT's train.py."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from byteloom.training.build import build

    torch.set_num_threads(args.threads)
    # The batches and the validation of byteloom's run; its model is not used.
    ours = build(config.load(RunConfig, tables(args, folder, seed)))
    wanted, d_model = ours.model.num_parameters(), args.d_model
    block = 12 * d_model**2 + 13 * d_model
    num_layers = math.ceil((wanted - (args.vocab_size + CONTEXT + 2) * d_model) / block)
    torch.manual_seed(seed)
    model: Any = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=args.vocab_size,
            n_positions=CONTEXT,
            n_embd=d_model,
            n_layer=num_layers,
            n_head=max(1, d_model // 32),
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    model = model.to(ours.device)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
    )

    def loss_of(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = model(inputs.to(ours.device)).logits
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.to(ours.device).flatten()
        )

    steps, losses = [], []
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = ours.schedule(step)
        torch.autograd.backward(loss_of(*ours.batches.batch_at(step)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % ours.config.training.eval_interval == 0 or step + 1 == args.steps:
            assert ours.validation is not None
            with torch.no_grad():
                found = [(loss_of(x, y).item(), y.numel()) for x, y in ours.validation()]
            steps.append(step + 1)
            losses.append(sum(a * n for a, n in found) / sum(n for _, n in found))
    return Curve(sum(p.numel() for p in model.parameters()), steps, losses)


CONTESTANTS = {"byteloom": byteloom, "course": course, "nanogpt": nanogpt}


def prepare(args: argparse.Namespace, text: Path) -> Path:
    """A tokenizer of the text's own, and its tokens: the last twentieth to validate on."""
    # What was trained with other settings is not taken for this.
    sizes = (args.vocab_size, args.d_model, args.batch, args.steps)
    folder: Path = args.output / "-".join([text.stem, *map(str, sizes)])
    if (folder / "valid.npy").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = bl.train_bpe(text, args.vocab_size, special_tokens=["<|endoftext|>"])
    tokenizer.encode_files(text, folder / "all.npy")
    ids = np.load(folder / "all.npy", mmap_mode="r")
    border = len(ids) * 19 // 20
    np.save(folder / "train.npy", ids[:border])
    np.save(folder / "valid.npy", ids[border:])
    return folder


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path, metavar="TEXT")
    parser.add_argument("-o", "--output", type=Path, default=Path("learning"), metavar="OUT")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--steps", type=int, default=1000, metavar="N")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="windows of 128 tokens")
    parser.add_argument("--d-model", type=int, default=128, metavar="N")
    parser.add_argument("--vocab-size", type=int, default=4096, metavar="N")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    args = parser.parse_args()
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Trains everything, prints a table, and draws."""
    if args.plot:
        check_plot_path(args.plot)
    rows: list[list[str]] = []
    curves: dict[tuple[str, str], list[Curve]] = {}
    for text in args.texts:
        folder = prepare(args, text)
        for name in args.only:
            kept = folder / f"{name}.json"
            known = json.loads(kept.read_text()) if kept.exists() else {}
            for seed in map(str, args.seeds):
                if seed not in known:
                    known[seed] = vars(CONTESTANTS[name](args, folder, int(seed)))
                    say(f"{text.stem}, {name}, seed {seed}: {known[seed]['losses'][-1]:.4f}")
                    kept.write_text(json.dumps(known))
            found = curves[text.stem, name] = [Curve(**known[str(seed)]) for seed in args.seeds]
            last = [one.losses[-1] for one in found]
            rows.append(
                [
                    text.stem,
                    name,
                    f"{found[0].parameters:,}",
                    f"{statistics.mean(last):.4f}",
                    ", ".join(f"{loss:.4f}" for loss in last),
                ]
            )
    print(table(["text", "recipe", "parameters", "validation loss", "of each seed"], rows, 2))
    if args.plot:
        draw(args, curves)


def draw(args: argparse.Namespace, curves: dict[tuple[str, str], list[Curve]]) -> None:
    """Means over the seeds."""
    texts = list(dict.fromkeys(text for text, _ in curves))
    with plot(args.plot) as axes:
        for (text, name), found in curves.items():
            steps = np.array(found[0].steps) * args.batch * CONTEXT
            mean = np.mean([one.losses for one in found], axis=0)
            look = ("-", "--", ":")[texts.index(text) % 3]
            colour = COLOURS[list(CONTESTANTS).index(name)]
            axes.plot(steps, mean, color=colour, linestyle=look, label=f"{text}, {name}")
        axes.set_xlabel("tokens")
        axes.set_ylabel("validation loss, mean of the seeds")
        axes.legend()


if __name__ == "__main__":
    sys.exit(main())
