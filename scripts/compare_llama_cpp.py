"""Compares exported GGUF files in llama.cpp itself with byteloom; scripts/llama_cpp.sh builds it.

One tiny model for each of llama.cpp's architectures: logits of a whole text, and 24 greedy tokens.
One tokenizer for each pattern: ids of texts. RUN, if given, is a trained model to compare as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import numpy as np
import torch

import byteloom as bl
from byteloom.export import Source, open_run, write
from byteloom.generation import generate_ids
from byteloom.markdown import table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/python/export"))
from exported import END, MODELS, TEXT, randomized, some_ids, source, tiny

PRESETS = ("gpt2", "llama3", "qwen2", "qwen3_5", "cl100k", "o200k", "tekken")
TEXTS = (
    TEXT,
    "It's 1234567 o'clock, WE'RE  late!\n\n\n   so\twhat? <|endoftext|> <|endoftext|>x",
    "naïve ÀÉÎ ŒUVRE Straße ПриветМир ǅ Ελληνικά עברית العربية हिन्दी ไทย 한국어 日本語 𝒳 é",
    "  leading, trailing  \n  ",
    "😀😃👩‍👩‍👧‍👦 ½ ² Ⅷ ١٢٣ \u00a0\u3000 x\r\n\r\ny",
)


@dataclass
class Difference:
    """What llama.cpp gives beside what byteloom gives."""

    architecture: str
    logits: float
    """The largest difference between logits, beside the largest logit."""
    ids: bool
    """Whether all texts have the same ids."""
    greedy: bool
    """Whether the likeliest tokens are the same, one after the other."""


def loaded(path: Path) -> llama_cpp.Llama:
    """A file in llama.cpp, with keys and values in float32."""
    how = {"type_k": 0, "type_v": 0, "logits_all": True, "verbose": False}
    return llama_cpp.Llama(str(path), n_ctx=0, n_threads=1, **how)


def learned_by_heart(preset: str) -> bl.Tokenizer:
    """A tokenizer for which each pretoken of the texts is one token: other splits, other ids."""
    return bl.PretokenCounts.from_texts([*TEXTS, *TEXTS], [END], preset).train(1200)


def ids_differ(theirs: llama_cpp.Llama, ours: Source) -> int:
    """How many of the texts have other ids."""
    assert ours.tokenizer is not None
    return sum(
        theirs.tokenize(text.encode(), add_bos=False, special=True) != ours.tokenizer.encode(text)
        for text in TEXTS
    )


@torch.inference_mode()
def compare(ours: Source, folder: Path, dtype: str = "fp32") -> Difference:
    """Exports a model and asks both."""
    path = folder / "model.gguf"
    write(ours, "gguf", path, dtype)
    theirs = loaded(path)
    ids = some_ids(min(40, ours.config.context_length - 25)) % ours.config.vocab_size
    wanted = ours.model(ids)[0].numpy()
    theirs.eval(ids[0].tolist())
    difference = np.abs(theirs.scores[: ids.shape[1]] - wanted).max() / np.abs(wanted).max()
    prompt = ids[0, :8].tolist()
    greedy = list(generate_ids(ours.model, prompt, max_new_tokens=24, temperature=0))
    found: list[int] = []
    theirs.reset()
    for token in theirs.generate(prompt, temp=0.0, repeat_penalty=1.0):
        found.append(token)
        if len(found) == len(greedy):
            break
    same_ids = ours.tokenizer is None or not ids_differ(theirs, ours)
    architecture = theirs.metadata["general.architecture"]
    return Difference(architecture, float(difference), same_ids, found == greedy)


def main() -> int:
    """Prints two tables; 1 if something differs that should not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN")
    args = parser.parse_args()
    rows, wrong = [], False
    models = {name: source(name) for name in MODELS}
    if args.run is not None:
        models[str(args.run)] = open_run(args.run)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model, ours in models.items():
            for dtype in (
                ("fp32", "fp16", "bf16")
                if model in ("llama", "llama, experts", str(args.run))
                else ("fp32",)
            ):
                found = compare(ours, folder, dtype)
                limit = {"fp32": 1e-5, "fp16": 2e-3, "bf16": 2e-2}[dtype]
                # GELU comes from a table of half precision there.
                limit = max(limit, 1e-3 if found.architecture in ("gpt2", "gemma2") else 0)
                if dtype == "bf16" and ours.config.ffn.kind == "experts":
                    limit = 0.1  # near a tie, a token has another expert
                ok = found.logits < limit and found.ids and (found.greedy or dtype != "fp32")
                wrong |= not ok
                said = ["differ", "equal"]
                rows.append(
                    [
                        model,
                        found.architecture,
                        dtype,
                        f"{found.logits:.1e}",
                        said[found.greedy],
                        said[found.ids],
                    ]
                )
        print(table(["model", "architecture", "type", "logits", "greedy tokens", "ids"], rows))
        rows = []
        model = randomized(tiny(vocab_size=1200))
        for preset in PRESETS:
            ours = Source(model, learned_by_heart(preset))
            remarks = write(ours, "gguf", folder / "vocabulary.gguf")
            theirs = loaded(folder / "vocabulary.gguf")
            different = ids_differ(theirs, ours)
            wrong |= bool(different) and not remarks
            pre = theirs.metadata["tokenizer.ggml.pre"]
            rows.append(
                [preset, pre, f"{len(TEXTS) - different} of {len(TEXTS)}", " ".join(remarks)]
            )
    print()
    print(table(["pattern", "llama.cpp's", "texts with equal ids", "said at the export"], rows))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
