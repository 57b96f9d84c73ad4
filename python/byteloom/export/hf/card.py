"""A model card: what the model is, what it reached, how it is opened."""

from __future__ import annotations

from collections.abc import Mapping

from byteloom import __version__
from byteloom.export.hf.family import Family
from byteloom.markdown import table
from byteloom.model import TransformerLM


def card(model: TransformerLM, name: str, family: Family, figures: Mapping[str, object]) -> str:
    """The text of ``README.md``.

    Args:
        model: what it is about.
        name: of the folder.
        family: the architecture.
        figures: what is to be told, in order.
    """
    config = model.config
    opener = "PreTrainedTokenizerFast" if family.overrules_tokenizers else "AutoTokenizer"
    told = {
        "parameters": model.num_parameters(),
        "without embeddings": model.num_parameters(embeddings=False),
        "layers": config.num_layers,
        "size of a token's vector": config.d_model,
        "attention heads": config.num_heads,
        "vocabulary": config.vocab_size,
        "context": config.context_length,
        **figures,
    }
    rows = [[key, shown(value)] for key, value in told.items()]
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags:
- byteloom
---

# {name}

A language model trained with byteloom {__version__}, as a `{family.architecture}`.

{table(["", name], rows)}

```python
from transformers import AutoModelForCausalLM, {opener}

tokenizer = {opener}.from_pretrained("{name}")
model = AutoModelForCausalLM.from_pretrained("{name}")
ids = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=50)[0]))
```

The model was trained to go on with texts, and on nothing else: what it writes is neither checked
nor meant to be true.
"""


def shown(value: object) -> str:
    """A figure as people read it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
