#!/usr/bin/env bash
# The one test command: everything that has to hold, on a machine that has only Rust and a C compiler.
#
#   tests/run.sh          all of it, with two browsers against the built server
#   tests/run.sh --fast   without browsers
#
# Stops at the first section that fails and names it. What is missing (Node, Chromium, strace) is installed with apt
# where that is possible; elsewhere the script says what to install. Everything runs in the dev profile:
# no release build is needed.

set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Nothing here asks questions, and nothing may wait for an answer.
exec </dev/null

usage() { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

browsers=yes
for argument in "$@"; do
  case $argument in
    --fast) browsers=no ;;
    -h | --help) usage && exit 0 ;;
    *) echo "tests/run.sh: unknown option $argument" >&2 && usage >&2 && exit 2 ;;
  esac
done

# --- Sections: a heading, a time, and a name for what failed --------------------------------------------------------

section='' section_start=0 summary=''
scratch=$(mktemp -d)

in_words() { if (($1 < 60)); then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi; }

begin() {
  section=$1 section_start=$SECONDS
  printf '\n=== %s ===\n' "$section"
}

end() {
  local took
  took=$(in_words $((SECONDS - section_start)))
  printf -- '--- %s: %s\n' "$section" "$took"
  summary+="${summary:+ · }$section $took"
  section=''
}

finish() {
  local code=$?
  rm -rf "$scratch"
  if ((code != 0)) && [[ -n $section ]]; then
    printf '\nFAILED in "%s" (exit code %s) after %s\n' "$section" "$code" "$(in_words $SECONDS)" >&2
  fi
}
trap finish EXIT

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# --- Tools ----------------------------------------------------------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

# 20.19 is what the build of the web app needs.
node_is_new_enough() {
  have node && have npm &&
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}

chromium_path() {
  local name
  for name in ${CHROMIUM:-} chromium chromium-browser google-chrome-stable google-chrome; do
    command -v "$name" 2>/dev/null && return 0
  done
  return 1
}

# Debian packages that are missing.
missing_packages() {
  have cc || echo gcc libc6-dev
  node_is_new_enough || { have node && have npm; } || echo nodejs npm
  have strace || echo strace
  [[ $browsers == no ]] || chromium_path >/dev/null || echo chromium
}

install() {
  local as_root=()
  if ((EUID != 0)); then
    have sudo && sudo -n true 2>/dev/null && as_root=(sudo -n)
    ((${#as_root[@]} > 0)) || fail "missing: $*" "install these packages and run this again (they need root: apt-get install $*)"
  fi
  have apt-get || fail "missing: $*" 'install these (names are those of Debian packages) and run this again'
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Node from its npm package, for a distribution whose own Node is too old.
node_of_our_own() {
  local architecture folder
  have npm || return 1
  case $(uname -m) in
    x86_64) architecture=x64 ;;
    aarch64) architecture=arm64 ;;
    *) return 1 ;;
  esac
  folder=$PWD/${CARGO_TARGET_DIR:-target}/node
  [[ ${CARGO_TARGET_DIR:-} == /* ]] && folder=$CARGO_TARGET_DIR/node
  mkdir -p "$folder"
  npm install --prefix "$folder" --no-audit --no-fund --loglevel=error "node-linux-$architecture@22"
  export PATH="$folder/node_modules/node-linux-$architecture/bin:$PATH"
  hash -r
}

begin 'tools'
if ! have cargo && [[ -r ${CARGO_HOME:-$HOME/.cargo}/env ]]; then
  # shellcheck disable=SC1091
  . "${CARGO_HOME:-$HOME/.cargo}/env"
fi
have cargo || fail 'there is no cargo: install Rust (https://rustup.rs); rust-toolchain.toml then picks the version'
read -r -a packages <<<"$(missing_packages | tr '\n' ' ')"
if ((${#packages[@]} > 0)); then install "${packages[@]}"; fi
node_is_new_enough || node_of_our_own || true
node_is_new_enough || fail "Node is $(node --version 2>/dev/null || echo missing); 20.19 or newer with npm is needed (https://nodejs.org)"
if [[ $browsers == yes ]]; then
  CHROMIUM=$(chromium_path) || fail 'there is no Chromium; install it, or set CHROMIUM to its path, or run with --fast'
  export CHROMIUM
fi
# The tests open many sockets.
ulimit -Sn "$(ulimit -Hn)" 2>/dev/null || true
# Settings of whoever runs this must not reach the servers under test.
for variable in $(compgen -e | grep '^COSCRIBE_' || true); do
  case $variable in
    COSCRIBE_SEEDS | COSCRIBE_FIRST_SEED | COSCRIBE_KILLS | COSCRIBE_FRAMES | COSCRIBE_DOCUMENTS | COSCRIBE_HISTORIES | COSCRIBE_CUTS | COSCRIBE_POINTS | COSCRIBE_PEOPLE | COSCRIBE_MOMENTS | COSCRIBE_RESTORES | COSCRIBE_LOGS) ;; # how thorough the tests are
    *) unset "$variable" ;;
  esac
done
cargo --version
echo "node $(node --version), ${CHROMIUM:-no browser}"
end

begin 'packages'
for folder in web tests/yjs; do
  if [[ $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ]]; then
    echo "$folder: up to date"
  else
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
  fi
done
end

# --- Rust -----------------------------------------------------------------------------------------------------------

begin 'rust format'
cargo fmt --check
end

begin 'rust lints'
cargo clippy --locked --all-targets -- -D warnings
end

begin 'rust tests'
# Most of them wait for a server, a disk or a timer most of the time.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}
cargo test --locked
end

# --- Web app --------------------------------------------------------------------------------------------------------

begin 'web lints and types'
npm --prefix web run --silent check
end

begin 'web unit tests'
npm --prefix web run --silent test
end

# The bundle in static/ is what `cargo run` serves without Node, so it must be what web/ builds to.
begin 'web bundle'
(cd web && npx --no-install vite build --outDir "$scratch/static" --emptyOutDir --logLevel warn)
diff -r --brief static "$scratch/static" ||
  fail 'static/ is not what web/ builds to: run `npm --prefix web run build` and commit static/'
node web/scripts/budget.mjs
end

if [[ $browsers == yes ]]; then
  begin 'browser tests'
  COSCRIBE_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/debug/coscribe") npm --prefix web run --silent e2e
  end
fi

[[ $browsers == yes ]] || summary+=' · browsers left out (--fast)'
printf '\nPASSED in %s: %s\n' "$(in_words $SECONDS)" "$summary"
