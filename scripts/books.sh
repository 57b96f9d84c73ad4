#!/usr/bin/env bash
# Books (or any other text of yours): a tokenizer of 32,000 tokens and a model for two CPU cores.
# README's figures for a corpus of books were made by `scripts/books.sh books.txt`.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
corpus=books download='' vocab_size=32000
config=$scripts/books.toml prompt='It was a dark night, and'
. "$scripts/pipeline.sh"
