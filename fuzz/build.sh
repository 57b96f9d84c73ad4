#!/usr/bin/env bash
# Builds the fuzz targets and the seeds; says where the targets are. No more is needed than the stable
# compiler and a C++ compiler: the flags are those of cargo-fuzz (but comparisons are not traced, which
# took a third of the time and finds little in structured inputs), and the sanitizer, whose flag is not
# stable, is allowed by RUSTC_BOOTSTRAP.
#
# usage: SANITIZER=address|none fuzz/build.sh [TARGET...]
set -euo pipefail
cd "$(dirname "$0")"
all=$(cd targets && ls ./*.rs | sed 's|./\(.*\)\.rs|\1|')
targets=${*:-$all}
for target in $targets; do
    [ -f "targets/$target.rs" ] || { echo "error: no target $target; there are" $all >&2; exit 2; }
done

# The seeds come from an ordinary build.
cargo run --quiet --release --bin seeds -- corpus

host=$(rustc -vV | sed -n 's/^host: //p')
sanitizer=${SANITIZER:-address}
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Ccodegen-units=1"
case $sanitizer in
none) ;;
address)
    flags="$flags -Zsanitizer=address"
    export RUSTC_BOOTSTRAP=1
    ;;
*) echo "error: SANITIZER is $sanitizer; it can be address or none" >&2; exit 2 ;;
esac

# With --target, the flags are for the targets and not for what runs while they are built.
export RUSTFLAGS="$flags"
bins=$(for target in $targets; do echo "--bin $target"; done)
# shellcheck disable=SC2086
cargo build --quiet --release --target "$host" --target-dir "target/$sanitizer" $bins
echo "target/$sanitizer/$host/release"
