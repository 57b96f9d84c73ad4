#!/usr/bin/env bash
# Text -> tokenizer -> token files -> trained model -> a sample, every step under `/usr/bin/time -v`,
# with a table of what each took. scripts/tinystories.sh, owt.sh and books.sh call it.
#
# A step whose result is in the folder is not done again; its figures are those of then.
set -euo pipefail

usage() {
    cat <<EOF
usage: scripts/${corpus}.sh [OPTION ...] [TEXT ...] [-- KEY VALUE ...]

  TEXT                 train on these files ${without_text}
  --valid FILE         text to validate with; default: about one document in a hundred of TEXT
  --vocab-size N       default: ${vocab_size}
  --config FILE        configuration of the training; default: ${config}
  --num-threads N      threads of the tokenizer; default: every processor
  --prompt TEXT        what the sample begins with; default: ${prompt}
  -o, --output DIR     default: ${output}
  -- KEY VALUE ...     handed to train-lm: -- --training.steps 500 --model.d_model 128
EOF
}

fail() {
    echo "error: $*" >&2
    exit 1
}

# -- what is asked for -----------------------------------------------------------------------------

# The caller sets: corpus, vocab_size, config, prompt, download (a name for `byteloom data`, or "").
output=runs/$corpus
if [ -n "$download" ]; then
    without_text="in place of \`byteloom data $download\`"
else
    without_text="(plain text; <|endoftext|> stands between documents)"
fi
valid='' threads=() texts=() overrides=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit 0 ;;
        --) shift && overrides=("$@") && break ;;
        --valid | --vocab-size | --config | --num-threads | --prompt | -o | --output)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in
                --valid) valid=$2 ;;
                --vocab-size) vocab_size=$2 ;;
                --config) config=$2 ;;
                --num-threads) threads=(--num-threads "$2") ;;
                --prompt) prompt=$2 ;;
                *) output=$2 ;;
            esac
            shift
            ;;
        -*) usage >&2 && fail "no option $1 (keys for train-lm stand after --)" ;;
        *) texts+=("$1") ;;
    esac
    shift
done
if [ ${#texts[@]} -eq 0 ] && [ -z "$download" ]; then
    usage >&2
    fail "give at least one TEXT"
fi
for file in ${texts[@]+"${texts[@]}"} ${valid:+"$valid"} "$config"; do
    [ -r "$file" ] || fail "cannot read $file"
done

# -- what is needed --------------------------------------------------------------------------------

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/../.venv/bin:$PATH"
command -v byteloom >/dev/null || fail "no command byteloom: run \`make setup\`, or pip install ."

gnu_time=''
for candidate in "${GNU_TIME:-}" /usr/bin/time gtime; do
    if [ -n "$candidate" ] && "$candidate" -v true 2>/dev/null; then
        gnu_time=$candidate && break
    fi
done
[ -n "$gnu_time" ] || fail "GNU time is missing: apt install time (Debian), dnf install time " \
    "(Fedora), brew install gnu-time (macOS); or set GNU_TIME to where it is"

logs=$output/logs
mkdir -p "$logs"

# -- the steps -------------------------------------------------------------------------------------

measured() { # NAME RESULT COMMAND...: runs it under time -v; its figures (JSON) go to the logs
    local name=$1 result=$2
    shift 2
    printf '\n== %s\n   $ %s\n' "$name" "$*" >&2
    if [ -e "$result" ] && [ -s "$logs/$name.json" ]; then
        # With other options it would be another result, and the table would lie.
        [ "$*" = "$(cat "$logs/$name.command")" ] ||
            fail "$result was made by another command: $(cat "$logs/$name.command")" \
                "-- choose another folder with -o, or remove this one"
        echo "   is there already: $result" >&2
        return
    fi
    # Under its own name only when the step has succeeded: a half log is no log.
    "$gnu_time" -v -o "$logs/$name.time.part" "$@" >"$logs/$name.json.part" ||
        fail "$name failed (logs in $logs)"
    printf '%s' "$*" >"$logs/$name.command"
    mv "$logs/$name.time.part" "$logs/$name.time"
    mv "$logs/$name.json.part" "$logs/$name.json"
}

if [ ${#texts[@]} -eq 0 ]; then
    printf '\n== text\n   $ byteloom data %s\n' "$download" >&2
    byteloom data "$download" --json >"$logs/text.json"
    train=$(python3 "$here/time_table.py" --path train "$logs/text.json")
    valid=$(python3 "$here/time_table.py" --path valid "$logs/text.json")
    texts=("$train")
elif [ -z "$valid" ]; then
    printf '\n== text: split by documents\n' >&2
    python3 "$here/split_documents.py" "${texts[@]}" -o "$output"
    texts=("$output/train.txt")
    valid=$output/valid.txt
fi

tokenizer=$output/tokenizer.json
measured tokenizer "$tokenizer" train-bpe "${texts[@]}" --vocab-size "$vocab_size" \
    --special-token '<|endoftext|>' ${threads[@]+"${threads[@]}"} -o "$tokenizer" --json
measured encode-train "$output/train.npy" byteloom encode "$tokenizer" "${texts[@]}" \
    ${threads[@]+"${threads[@]}"} -o "$output/train.npy" --json
measured encode-valid "$output/valid.npy" byteloom encode "$tokenizer" "$valid" \
    ${threads[@]+"${threads[@]}"} -o "$output/valid.npy" --json

run=$output/run
training=(train-lm "$config" --data.train "$output/train.npy" --data.valid "$output/valid.npy"
    --data.tokenizer "$tokenizer" ${overrides[@]+"${overrides[@]}"} -o "$run" --json)
if [ -e "$run" ] && [ ! -s "$logs/training.json" ]; then
    touch "$logs/training.resumed"
    training=(train-lm --resume "$run" --json)
elif [ -e "$logs/training.resumed" ]; then
    training=(train-lm --resume "$run" --json)
fi
measured training "$run" "${training[@]}"
measured evaluation "$logs/evaluation.json" byteloom eval "$run" "$output/valid.npy" --json

# -- what it came to -------------------------------------------------------------------------------

echo
python3 "$here/time_table.py" "$logs" | tee "$output/table.md"
printf '\nA sample, from the prompt "%s":\n\n' "$prompt"
byteloom generate "$run" --prompt "$prompt" --seed 1 --max-new-tokens 200 | tee "$output/sample.txt"
