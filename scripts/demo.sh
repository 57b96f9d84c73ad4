#!/usr/bin/env bash
# The whole way on real text: every stage says what it does, with which command, and where the
# result lies. What is there already is used again; `rm -rf demo` starts afresh.
set -euo pipefail
cd "$(dirname "$0")/.."
demo=${1:-demo}
mkdir -p "$demo"

say() { printf '\n== %s\n' "$1"; }

stage() { # TITLE RESULT COMMAND...: runs the command unless its result is there
    say "$1"
    local result=$2
    shift 2
    printf '   $ %s\n' "$*"
    if [ -e "$result" ]; then
        printf '   reused: %s is there already\n' "$result"
    else
        "$@"
        printf '   result: %s\n' "$result"
    fi
}

stage "Text: the source code of this Python's standard library" "$demo/text/manifest.json" \
    byteloom data stdlib -o "$demo/text"

stage "Tokenizer: byte-pair encoding, 8,192 tokens" "$demo/tokenizer.json" \
    train-bpe "$demo/text/train.txt" --vocab-size 8192 --special-token '<|endoftext|>' \
    -o "$demo/tokenizer.json"

stage "Token files: text as uint16 ids" "$demo/train.npy" \
    byteloom encode "$demo/tokenizer.json" "$demo/text/train.txt" -o "$demo/train.npy"
stage "... and for validation" "$demo/valid.npy" \
    byteloom encode "$demo/tokenizer.json" "$demo/text/valid.txt" -o "$demo/valid.npy"

if [ -e "$demo/run/config.toml" ] && [ ! -e "$demo/run/sample.txt" ]; then
    say "Model: the run was interrupted and goes on"
    printf '   $ train-lm --resume %s/run\n' "$demo"
    train-lm --resume "$demo/run"
else
    stage "Model: a small transformer, about two minutes on two cores" "$demo/run/sample.txt" \
        train-lm configs/tiny.toml --data.train "$demo/train.npy" --data.valid "$demo/valid.npy" \
        --data.tokenizer "$demo/tokenizer.json" -o "$demo/run"
fi

say "Text: what the model writes after a few words"
for prompt in 'def read_' 'class Test'; do
    printf '   $ byteloom generate %s/run --prompt "%s" --seed 1 --max-new-tokens 120\n\n' "$demo" "$prompt"
    byteloom generate "$demo/run" --prompt "$prompt" --seed 1 --max-new-tokens 120
    echo
done

say "All of it lies in $demo/"
printf '   %s/run/metrics.jsonl   loss by step\n' "$demo"
printf '   byteloom generate %s/run --prompt "import "     more text\n' "$demo"
printf '   byteloom eval %s/run %s/text/valid.txt          loss, perplexity, bits per byte\n' "$demo" "$demo"
