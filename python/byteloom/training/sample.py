"""What a model writes at the end of its training."""

from __future__ import annotations

from byteloom.atomic import atomic_write
from byteloom.generation import generate
from byteloom.model import TransformerLM
from byteloom.tokenizer import Tokenizer
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from byteloom.training.tasks import PrefixConfig


def write_sample(run: Run, folder: RunFolder, tokenizer: Tokenizer) -> str:
    """Lets the model write into ``sample.txt``: always the same for the same weights and seed."""
    settings = run.config.logging
    assert isinstance(run.model, TransformerLM), "only decoders go on with a text"
    with run.averaged():
        text = generate(
            run.model,
            tokenizer,
            settings.sample_prompt or next(iter(tokenizer.special_tokens), "\n"),
            max_new_tokens=settings.sample_tokens,
            temperature=0.8,
            seed=run.config.training.seed,
            prefix=isinstance(run.config.task, PrefixConfig),
        )
    with atomic_write(folder.sample_file) as file:
        file.write(text.encode("utf-8", errors="replace"))
    return text
