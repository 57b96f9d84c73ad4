#!/usr/bin/env bash
# Runs the engine's tests where every access to memory is checked: compiled with AddressSanitizer, and,
# if it is installed, under valgrind, which also sees what was never written.
set -euo pipefail

usage() {
    cat <<'END'
usage: scripts/memcheck.sh [address] [valgrind]
  Both by default. Each scanner that this processor has is forced in turn (BYTELOOM_SIMD);
  valgrind knows no AVX-512.
environment
  PROPTEST_CASES    cases of each property; 60 by default, 8 under valgrind
END
}

tools=${*:-address valgrind}
for tool in $tools; do
    case $tool in
    address | valgrind) ;;
    -h | --help) usage; exit ;;
    *) echo "error: no tool $tool" >&2; usage >&2; exit 2 ;;
    esac
done

cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
x86_64*) scanners="scalar $(grep -owE 'avx2|avx512_vbmi2' /proc/cpuinfo 2>/dev/null | sort -u | sed s/_vbmi2// | xargs)" ;;
aarch64*) scanners="scalar neon" ;;
*) scanners=scalar ;;
esac
# The modules that hold unsafe code, or hand it its data. Left out: tests of speed, which mean nothing
# here, and those that go through all there is.
modules="chunk:: count:: encode:: pretokenize:: special:: train::"
slow="--skip megabyte --skip million --skip every_code_point --skip every_short_string"

check() { # name, cases, command...
    local name=$1 cases=$2
    shift 2
    for scanner in $scanners; do
        [ "$name/$scanner" != valgrind/avx512 ] || continue
        echo "== $name, $scanner scanner"
        # shellcheck disable=SC2086
        BYTELOOM_SIMD=$scanner PROPTEST_CASES=${PROPTEST_CASES:-$cases} "$@" -- $modules $slow
    done
}

missing=
for tool in $tools; do
    case $tool in
    address)
        if ls "$(rustc --print sysroot)/lib/rustlib/$host/lib/"*rt.asan* >/dev/null 2>&1; then
            RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" check address 60 \
                cargo test --quiet --target "$host" --target-dir target/address --test rust
        else
            echo "AddressSanitizer is MISSING: this compiler brings no runtime of it for $host"
            missing="$missing address"
        fi
        ;;
    valgrind)
        if command -v valgrind >/dev/null; then
            runner=CARGO_TARGET_$(echo "$host" | tr 'a-z-' 'A-Z_')_RUNNER
            export "$runner=valgrind --quiet --error-exitcode=9 --leak-check=no --fair-sched=try"
            check valgrind 8 cargo test --quiet --test rust
        else
            echo "valgrind is MISSING: apt install valgrind"
            missing="$missing valgrind"
        fi
        ;;
    esac
done
# shellcheck disable=SC2086
if [ "$(echo $missing | wc -w)" = "$(echo $tools | wc -w)" ]; then
    echo "error: nothing was checked" >&2
    exit 1
fi
echo "memory is in order${missing:+; not checked with$missing}"
