#!/usr/bin/env bash
# The whole way on real text: every stage says what it does, the command, and where the result lies.
# What is there already is used again; `rm -rf demo` starts afresh.
set -euo pipefail
cd "$(dirname "$0")/.."
demo=${1:-demo}
mkdir -p "$demo"

stage() { # TITLE RESULT COMMAND...: runs the command unless its result is there
    local title=$1 result=$2
    shift 2
    printf '\n== %s\n   $ %s\n' "$title" "$*"
    if [ -e "$result" ]; then
        printf '   is there already and is used: %s\n' "$result"
    else
        "$@"
        printf '   result: %s\n' "$result"
    fi
}
