"""Logits -> ids -> text."""

from byteloom.generation.decoder import Decoder
from byteloom.generation.filling import fill_ids
from byteloom.generation.ids import generate_ids
from byteloom.generation.sample import sample
from byteloom.generation.seq2seq import answer_ids
from byteloom.generation.text import generate, stream_text

__all__ = [
    "Decoder",
    "answer_ids",
    "fill_ids",
    "generate",
    "generate_ids",
    "sample",
    "stream_text",
]
