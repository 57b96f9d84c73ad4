"""Chat templates: what makes one text of a conversation, as transformers and llama.cpp read them.

A template is a Jinja program, from whoever wrote it: it runs in Jinja's sandbox only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from byteloom.export.hf.files import read_json
from byteloom.export.hf.roles import known_names
from byteloom.tokenizer import Tokenizer
from byteloom.training.run_folder import CHAT

_QUESTION, _ANSWER = "What is two and two?", "It is four."
_TALK = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
#: What looks like a special token, whatever is between.
_LIKE_ONE = re.compile(r"<\|[^\s<>]+?\|>")


def read(path: Path) -> str:
    """A template from a file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no text.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no chat template {path}")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from None


def of_folder(folder: Path) -> tuple[str, list[str]]:
    """The template of a folder of transformers', of any version; empty: there is none.

    Returns:
        The template, and what had to be left out, in words.

    Raises:
        ValueError: a file is damaged.
    """
    others = sorted(path.stem for path in (folder / "additional_chat_templates").glob("*.jinja"))
    settings: Any = None
    if (folder / CHAT).exists():
        settings = read(folder / CHAT)
    elif (folder / "tokenizer_config.json").exists():
        # As folders had it before there was a file of its own.
        settings = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(settings, list):
        named = {one.get("name"): one.get("template") for one in settings}
        settings = named.pop("default", None)
        others += sorted(str(name) for name in named)
    left = [f"of its chat templates only the default one is kept, not {', '.join(others)}"]
    return settings if isinstance(settings, str) else "", left if others else []


def check(template: str, tokenizer: Tokenizer, tokens: Mapping[str, str | None]) -> list[str]:
    """Makes sure that it makes a text of a conversation.

    Args:
        template: the program.
        tokenizer: which reads that text.
        tokens: what it is told beside the messages: ``bos_token``, ``eos_token`` ...

    Returns:
        What whoever uses it should know: what looks like a special token, and is none.

    Raises:
        ValueError: no Jinja, or it fails, or leaves out what is said.

    Example:
        >>> tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|user|>"])
        >>> template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
        >>> check(template, tokenizer, {})
        ['the chat template writes <|assistant|>, which is no special token of the tokenizer: ...']
    """
    text = render(template, _TALK, tokens)
    for said in (_QUESTION, _ANSWER):
        if said not in text:
            raise ValueError(
                f"the chat template leaves out what is said: of a conversation with {said!r} it "
                f"makes {text[:200]!r}"
            )
    asked = render(template, _TALK[:1], tokens, add_generation_prompt=True)
    written = text.replace(_QUESTION, " ").replace(_ANSWER, " ") + asked.replace(_QUESTION, " ")
    names = [*_LIKE_ONE.findall(written), *(n for n in sorted(known_names()) if n in written)]
    missing = [name for name in dict.fromkeys(names) if name not in tokenizer.special_tokens]
    if not missing:
        return []
    what = "which is no special token" if len(missing) == 1 else "which are no special tokens"
    return [
        f"the chat template writes {', '.join(missing)}, {what} of the tokenizer: it is read as "
        "ordinary text, in several tokens"
    ]


def end_of_turn(
    template: str, tokenizer: Tokenizer, tokens: Mapping[str, str | None]
) -> int | None:
    """The special token that it puts behind an answer, at which a model is to stop.

    Raises:
        ValueError: see :func:`check`.
    """
    _, _, behind = render(template, _TALK, tokens).rpartition(_ANSWER)
    behind = behind.lstrip()
    found = [name for name in tokenizer.special_tokens if behind.startswith(name)]
    return tokenizer.special_tokens[max(found, key=len)] if found else None


def render(
    template: str,
    messages: list[dict[str, str]],
    tokens: Mapping[str, str | None],
    *,
    add_generation_prompt: bool = False,
) -> str:
    """The text of a conversation.

    Raises:
        ValueError: no Jinja, or it fails; the message says where.
    """
    import jinja2

    there = {key: token for key, token in tokens.items() if token is not None}
    try:
        made = _environment().from_string(template)
        how = {"messages": messages, "add_generation_prompt": add_generation_prompt}
        return str(made.render(**how, tools=None, documents=None, **there))
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"the chat template is no Jinja: line {error.lineno}: {error}") from None
    except jinja2.TemplateError as error:
        raise ValueError(f"the chat template fails on two messages: {error}") from None
    except Exception as error:
        # Its own fault whatever it is: it divides by zero, say.
        kind = type(error).__name__
        raise ValueError(f"the chat template fails on two messages: {kind}: {error}") from None


def _environment() -> Any:
    """What templates are written for: transformers' settings, functions and tags."""
    import jinja2
    from jinja2 import ext, nodes, sandbox

    class Generation(ext.Extension):
        """``{% generation %}`` marks what a model is to learn; what is within is text as any."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **how)

    made = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made
