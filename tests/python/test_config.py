from __future__ import annotations

import argparse
import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from byteloom import config


@dataclass(frozen=True)
class Circle:
    """Round."""

    kind: Literal["circle"] = "circle"
    radius: float = 1.0
    """Half its width."""
    filled: bool = False
    """Whether it is a disc."""


@dataclass(frozen=True)
class Polygon:
    """With corners."""

    kind: Literal["polygon"] = "polygon"
    corners: Annotated[int, Field(ge=3)] = 3
    """How many."""
    filled: bool = True
    """Whether it is an area."""

    def __post_init__(self) -> None:
        if self.corners == 13:
            raise ValueError("13 corners bring bad luck")


@dataclass(frozen=True)
class Pen:
    """What draws."""

    width: int = 2
    """In dots;
    at 72 to an inch."""
    colour: str | None = "black"
    """Its ink; 100% opaque."""
    dash: tuple[float, float] | None = None
    """On and off."""


@dataclass(frozen=True)
class Picture:
    """The root."""

    title: str
    """Must be given."""
    shape: Circle | Polygon = field(default_factory=lambda: Circle(radius=5.0))
    """What is drawn."""
    pen: Pen = field(default_factory=lambda: Pen(width=3))
    """What with."""
    second: Pen | None = None
    """Another one."""
    output: Path = Path("out.svg")
    """Where."""
    mode: Literal["fast", "fine"] = "fast"
    """How."""


def load(data: dict[str, Any]) -> Picture:
    return config.load(Picture, data, "picture.toml")


def problems(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ValueError) as caught:
        load(data)
    return [line.removeprefix("picture.toml: ") for line in str(caught.value).splitlines()]


def test_defaults_are_those_of_the_fields() -> None:
    assert load({"title": "x"}) == Picture(title="x")


def test_a_section_given_in_part_keeps_the_parents_defaults() -> None:
    assert load({"title": "x", "shape": {"filled": True}}).shape == Circle(radius=5.0, filled=True)
    assert load({"title": "x", "pen": {"colour": "red"}}).pen == Pen(width=3, colour="red")


def test_kind_selects_the_member() -> None:
    picture = load({"title": "x", "shape": {"kind": "polygon", "corners": 5}})
    assert picture.shape == Polygon(corners=5)


def test_types_survive_toml() -> None:
    text = """
        title = "x"
        output = "a/b.svg"
        pen = {dash = [1, 2.5], colour = "none"}
        second = {width = 9}
    """
    picture = load(tomllib.loads(text))
    assert picture.output == Path("a/b.svg")
    assert picture.pen == Pen(width=3, colour=None, dash=(1.0, 2.5))
    assert isinstance(picture.pen.dash, tuple) and isinstance(picture.pen.dash[0], float)
    assert picture.second == Pen(width=9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "title: must be given"),
        ({"titel": "x", "title": "x"}, "titel: no such key; did you mean title?"),
        (
            {"title": "x", "pen": {"witdh": 3}},
            "pen.witdh: no such key; did you mean pen.width?",
        ),
        ({"title": "x", "width": 3}, "width: no such key; did you mean pen.width?"),
        (
            {"title": "x", "shape": {"kind": "polygon", "radius": 3.0}},
            "shape.radius: no such key; only kind circle has it",
        ),
        (
            {"title": "x", "pen": {"zzzzzz": 3}},
            "pen.zzzzzz: no such key; the keys here are width, colour, dash",
        ),
        ({"title": 3}, "title: must be a valid string, not 3"),
        (
            {"title": "x", "pen": {"dash": [1]}},
            "pen.dash: must be [FLOAT,FLOAT]|none (Field required), not [1]",
        ),
        ({"title": "x", "pen": {"width": "3"}}, "pen.width: must be a valid integer, not '3'"),
        ({"title": "x", "pen": {"width": 3.0}}, "pen.width: must be a valid integer, not 3.0"),
        ({"title": "x", "pen": {"width": True}}, "pen.width: must be a valid integer, not True"),
        ({"title": "x", "pen": 3}, "pen: must be a section with keys width, colour, dash, not 3"),
        ({"title": "x", "mode": "fats"}, "mode: must be 'fast' or 'fine', not 'fats'"),
        (
            {"title": "x", "shape": {"kind": "polygn"}},
            "shape.kind: must be one of circle, polygon, not 'polygn'; did you mean polygon?",
        ),
        (
            {"title": "x", "shape": {"kind": "polygon", "corners": 2}},
            "shape.corners: must be greater than or equal to 3, not 2",
        ),
        (
            {"title": "x", "shape": {"kind": "polygon", "corners": 13}},
            "shape: 13 corners bring bad luck",
        ),
        ({"title": tomllib.loads("a = 2024-01-01")["a"], "pen": {}}, None),
    ],
)
def test_what_is_wrong_is_named_with_its_path(data: dict[str, Any], message: str | None) -> None:
    if message is None:
        # A date has no type of its own in a configuration: it is its text.
        assert load(data).title == "2024-01-01"
    else:
        assert problems(data) == [message]


def test_all_problems_are_told_at_once() -> None:
    found = problems({"titel": "x", "pen": {"width": "3", "dash": [1]}, "mode": 1})
    assert len(found) == 5
    assert {line.partition(":")[0] for line in found} == {
        "titel",
        "title",
        "pen.width",
        "pen.dash",
        "mode",
    }


def test_reading_names_the_file_and_the_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no configuration file"):
        config.read(tmp_path / "no.toml")
    with pytest.raises(ValueError, match="is a folder"):
        config.read(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ValueError, match=r"bad\.toml is not valid TOML: .*line 2"):
        config.read(bad)
    bad.write_bytes(b"a = '\xff'")
    with pytest.raises(ValueError, match=r"bad\.toml is not valid TOML"):
        config.read(bad)


# -- dumping ------------------------------------------------------------------------------------

circles = st.builds(
    Circle, radius=st.floats(allow_nan=False), filled=st.booleans(), kind=st.just("circle")
)
polygons = st.builds(
    Polygon,
    corners=st.integers(3, 12),
    filled=st.booleans(),
    kind=st.just("polygon"),
)
# TOML's text has no lone surrogates, and "none" is the word for None.
texts = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: t.lower() != "none")
pens = st.builds(
    Pen,
    width=st.integers(-(2**63), 2**63 - 1),
    colour=st.none() | texts,
    dash=st.none() | st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
)
pictures = st.builds(
    Picture,
    title=texts,
    shape=circles | polygons,
    pen=pens,
    second=st.none() | pens,
    output=st.just(Path("a/b c.svg")),
    mode=st.sampled_from(["fast", "fine"]),
)


@given(pictures)
def test_dumped_toml_loads_to_the_same(picture: Picture) -> None:
    assert load(tomllib.loads(config.to_toml(picture))) == picture


# -- the command line ---------------------------------------------------------------------------


def parse(*arguments: str, base: dict[str, Any] | None = None) -> Picture:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    config.add_options(parser, Picture)
    over = config.overrides(vars(parser.parse_args(arguments)))
    return load(config.merge(base or {"title": "x"}, over))


def test_any_key_can_be_overridden() -> None:
    picture = parse(
        "--title=512",
        "--shape.kind",
        "polygon",
        "--shape.corners=7",
        "--pen.dash",
        "[1, 2]",
        "--pen.colour=none",
        "--shape.filled=false",
        "--output",
        "x.svg",
    )
    assert picture == Picture(
        title="512",
        shape=Polygon(corners=7, filled=False),
        pen=Pen(width=3, dash=(1.0, 2.0), colour=None),
        output=Path("x.svg"),
    )


def test_a_switch_needs_no_value() -> None:
    assert parse("--shape.filled").shape == Circle(radius=5.0, filled=True)


def test_the_command_line_wins_over_the_file() -> None:
    base = {"title": "x", "pen": {"width": 7, "colour": "red"}}
    assert parse("--pen.width", "-8", base=base).pen == Pen(width=-8, colour="red")


def test_another_kind_begins_anew() -> None:
    base = {"title": "x", "shape": {"kind": "circle", "radius": 2.0, "filled": True}}
    assert parse("--shape.kind=polygon", base=base).shape == Polygon()
    assert parse("--shape.kind=circle", base=base).shape == Circle(radius=2.0, filled=True)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--pen.width=wide", "--pen.width: must be a valid integer, unable to parse string as an"),
        ("--shape.filled=perhaps", "--shape.filled: must be a valid boolean"),
        ("--pen.dash=[1", "--pen.dash: "),
        ("--mode=fats", "--mode: must be 'fast' or 'fine', not 'fats'"),
        ("--shape.kind=cirle", "did you mean circle?"),
    ],
)
def test_wrong_values_on_the_command_line_are_refused(argument: str, message: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + message.replace("?", r"\?").replace("[", r"\[")):
        parse(argument)


def test_unknown_options_are_explained() -> None:
    assert config.explain_unknown("--pen.widht=3", Picture).endswith("did you mean --pen.width?")
    assert config.explain_unknown("--width", Picture).endswith("did you mean --pen.width?")
    assert config.explain_unknown("--qqqqqqqq", Picture) == "no such key --qqqqqqqq"


def test_help_lists_every_key_with_its_documentation_and_default() -> None:
    parser = argparse.ArgumentParser()
    config.add_options(parser, Picture)
    text = " ".join(parser.format_help().split())
    assert "--shape.radius FLOAT Half its width. (kind circle; default: 5.0)" in text
    assert "--shape.kind circle|polygon What is drawn. (default: circle)" in text
    assert "--pen.width INT In dots; at 72 to an inch. (default: 3)" in text
    assert "--pen.colour STR|none Its ink; 100% opaque. (default: black)" in text
    assert "--second.width" in text and "--mode fast|fine" in text
    assert "--shape.filled [BOOL]" in text


def test_keys_cover_every_field_once() -> None:
    paths = [key.path for key in config.keys(Picture)]
    assert len(paths) == len(set(paths))
    leaves = {"title", "output", "mode", "shape.kind", "shape.radius", "shape.filled"}
    leaves |= {"shape.corners"}
    leaves |= {f"{p}.{f.name}" for p in ("pen", "second") for f in dataclasses.fields(Pen)}
    assert set(paths) == leaves
