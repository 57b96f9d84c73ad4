"""A model card: what the model is, what it reached, how it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from byteloom import __version__
from byteloom.markdown import table
from byteloom.models import AnyModel, EncoderDecoderConfig


@dataclass(frozen=True)
class _Use:
    """What differs from kind to kind of model."""

    tag: str
    """Where the Hub shows it; none: nowhere."""
    what: str
    """What it is."""
    opener: str
    """What opens the model."""
    code: str
    """How it is used, after it and its tokenizer were opened."""
    learned: str
    """What it was trained to do."""


_USES = {
    "decoder": _Use(
        "text-generation",
        "A language model",
        "AutoModelForCausalLM",
        """\
ids = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=50)[0]))""",
        "to go on with texts, and on nothing else: what it writes",
    ),
    "chat": _Use(
        "text-generation",
        "A language model",
        "AutoModelForCausalLM",
        """\
said = [{"role": "user", "content": "Tell me a story."}]
ids = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=50)[0]))""",
        "to go on with texts, and its chat template makes one of a conversation: what it writes",
    ),
    "encoder": _Use(
        "fill-mask",
        "An encoder",
        "AutoModelForMaskedLM",
        """\
text = f"{tokenizer.cls_token}Once upon a {tokenizer.mask_token}{tokenizer.sep_token}"
ids = tokenizer(text, return_tensors="pt")
hidden = ids.input_ids[0] == tokenizer.mask_token_id
print(tokenizer.decode(model(**ids).logits[0, hidden].argmax(-1)))""",
        "to find tokens that were hidden, and on nothing else: what it finds",
    ),
    "encoder_decoder": _Use(
        "",
        "An encoder with a decoder",
        "AutoModelForSeq2SeqLM",
        """\
text = "Once upon a SENTINEL there was" + tokenizer.eos_token
ids = tokenizer(text, return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=20)[0]))""",
        "to write what was cut out of texts, and on nothing else: what it writes",
    ),
}


def card(
    model: AnyModel,
    name: str,
    architecture: str,
    figures: Mapping[str, object],
    *,
    tokenizer_opener: str = "AutoTokenizer",
    sentinel: str = "<extra_id_0>",
    is_chat: bool = False,
) -> str:
    """The text of ``README.md``.

    Args:
        model: what it is about.
        name: of the folder.
        architecture: what it is there.
        figures: what is to be told, in order.
        tokenizer_opener: what opens the tokenizer.
        sentinel: what stands for a span that was cut out.
        is_chat: whether there is a chat template.
    """
    config = model.config
    use = _USES["chat" if is_chat else config.kind]
    layers: dict[str, object] = {"layers": config.num_layers}
    if isinstance(config, EncoderDecoderConfig):
        layers |= {"of the decoder": config.decoder_layers}
    told = {
        "parameters": model.num_parameters(),
        "without embeddings": model.num_parameters(embeddings=False),
        **layers,
        "size of a token's vector": config.d_model,
        "attention heads": config.num_heads,
        "vocabulary": config.vocab_size,
        "context": config.context_length,
        **figures,
    }
    rows = [[key, shown(value)] for key, value in told.items()]
    tag = f"pipeline_tag: {use.tag}\n" if use.tag else ""
    return f"""---
library_name: transformers
{tag}tags:
- byteloom
---

# {name}

{use.what} trained with byteloom {__version__}, as a `{architecture}`.

{table(["", name], rows)}

```python
from transformers import {use.opener}, {tokenizer_opener}

tokenizer = {tokenizer_opener}.from_pretrained("{name}")
model = {use.opener}.from_pretrained("{name}")
{use.code.replace("SENTINEL", sentinel)}
```

The model was trained {use.learned} is neither checked
nor meant to be true.
"""


def shown(value: object) -> str:
    """A figure as people read it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
