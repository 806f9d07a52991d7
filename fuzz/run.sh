#!/usr/bin/env bash
# Runs the fuzz targets, each for some minutes (default 10), or one of them: fuzz/run.sh [minutes] [target]
#
# Ends with 1 when a target failed; its input then lies in fuzz/artifacts. Put it into fuzz/found/<target> under a name that
# says what it is: the ordinary tests run it from then on.
set -euo pipefail
cd "$(dirname "$0")"

minutes=${1:-10}
targets=(${2:-$(cargo metadata --no-deps --format-version 1 | grep -o '"kind":\["bin"\][^}]*"name":"[a-z_]*"' | grep -o '[a-z_]*"$' | tr -d '"')})

command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
# The coverage that libFuzzer needs is not yet a stable option of the compiler; with this, the pinned one has it, too. Address
# sanitizer would need another standard library, and finds little where `unsafe` is forbidden: memory is watched by -rss_limit_mb.
export RUSTC_BOOTSTRAP=1
build=(--sanitizer none -O)
cargo fuzz build "${build[@]}"

failed=()
for target in "${targets[@]}"; do
  printf '== %s, %s min\n' "$target" "$minutes"
  mkdir -p "corpus/$target" "found/$target"
  # Seconds for one input; a whole update of the server's own limits takes less than one.
  cargo fuzz run "${build[@]}" "$target" "corpus/$target" "corpus-seed/$target" "found/$target" -- \
    -max_total_time=$((minutes * 60)) -timeout=10 -rss_limit_mb=1024 -max_len=4096 -print_final_stats=1 || failed+=("$target")
done
if ((${#failed[@]} > 0)); then
  echo "FAILED: ${failed[*]}; the inputs are in fuzz/artifacts"
  exit 1
fi
echo "PASSED: ${targets[*]}, $minutes min each"
