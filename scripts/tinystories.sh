#!/usr/bin/env bash
# TinyStories: a tokenizer of 10,000 tokens and the course's base model.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
corpus=tinystories download=tinystories vocab_size=10000
config=$scripts/tinystories.toml prompt='Once upon a time'
. "$scripts/pipeline.sh"
