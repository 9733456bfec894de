#!/usr/bin/env bash
# Every test. Brings what the tests run against (tests/components.sh: a real node, a real database, a foreign client, chains and contracts),
# says loudly what cannot be had, runs everything, and ends with one line: `N passed, N failed, N skipped`.
#
#   tests/run.sh [arguments for cargo test]      e.g. tests/run.sh --test laws node::
#
# A test whose component is there must run: it fails where it would skip. A test that skips is not counted as passed.
set -euo pipefail
cd "$(dirname "$0")/.."
components=${COUNTERSIGN_COMPONENTS:-$PWD/target/components}
export COUNTERSIGN_COMPONENTS=$components
bash tests/components.sh

if "$components/bitcoind" -version >/dev/null 2>&1; then
  export BITCOIND_EXE=$components/bitcoind COUNTERSIGN_REQUIRE_BITCOIND=1
fi
if "$components/python/bin/python" -c 'import grpc, grpc_tools, nacl' 2>/dev/null; then
  export COUNTERSIGN_PYTHON=$components/python/bin/python COUNTERSIGN_REQUIRE_PYTHON=1
fi
if [ -e "$components/evm/complete" ]; then
  export COUNTERSIGN_EVM=$components/evm COUNTERSIGN_REQUIRE_EVM=1
fi
if "$components/evm/python/bin/python" -c 'import safe_eth' 2>/dev/null; then
  export COUNTERSIGN_EVM_PYTHON=$components/evm/python/bin/python COUNTERSIGN_REQUIRE_EVM_PYTHON=1
fi
if sh tests/mariadb.sh find; then export COUNTERSIGN_REQUIRE_MARIADB=1; fi
if command -v ssh-keygen >/dev/null 2>&1; then export COUNTERSIGN_REQUIRE_SSH_KEYGEN=1; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# --no-fail-fast: one failure must not hide the others; --workspace unless told otherwise
[ $# -gt 0 ] || set -- --workspace
status=0
cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?

awk -v status="$status" '
  # not at the start of the line: what a test prints past the harness may come in between
  /test result: (ok|FAILED)\./ {
    results++
    for (i = 2; i <= NF; i++) {
      if ($i == "passed;") passed += $(i - 1)
      if ($i == "failed;") failed += $(i - 1)
      if ($i == "ignored;") skipped += $(i - 1)
    }
  }
  # such a test ends as ok without having tested anything
  /\*\*\* SKIPPED: / { skipped++; passed-- }
  END {
    if (status != 0 && failed == 0) {
      print "cargo test ended with status " status (results ? ": a test program died" : ": it did not build")
      failed = 1
    }
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit (status != 0 || failed > 0 || passed <= 0)
  }
' "$log"
