#!/usr/bin/env bash
# OpenWebText: a tokenizer of 32,000 tokens and the base model on web pages.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
corpus=owt download=owt vocab_size=32000
config=$scripts/owt.toml prompt='The city council'
. "$scripts/pipeline.sh"
