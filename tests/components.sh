#!/usr/bin/env bash
# Brings what the tests run against, by name, from Debian, PyPI and npm, into target/components:
#   bitcoin-knots (a real node), mariadb-server (a real database), grpcio (a client nobody here wrote);
# and from npm: anvil and ganache (chains), the Safe contracts as published, ethers, viem, protocol-kit (and PyPI's safe-eth-py).
# Prints one line for each; what cannot be had is said loudly and its tests are skipped loudly.
set -u
cd "$(dirname "$0")/.."
dir=${COUNTERSIGN_COMPONENTS:-$PWD/target/components}
mkdir -p "$dir"
have() { command -v "$1" >/dev/null 2>&1; }
say() { printf 'components: %-14s %s\n' "$1" "$2"; }
lost() { printf 'components: %-14s NOT AVAILABLE, ITS TESTS ARE SKIPPED: %s\n' "$1" "$2" >&2; }
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
apt() { root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y "$@" >>"$dir/apt.log" 2>&1; }
updated=
update() { [ -n "$updated" ] || { apt update; updated=1; }; }

node() {
  local tree=$dir/knots mirror
  [ -x "$dir/bitcoind" ] && "$dir/bitcoind" -version >/dev/null 2>&1 && { say bitcoin-knots "$("$dir/bitcoind" -version | head -n 1)"; return; }
  have mmdebstrap || { update; apt install mmdebstrap; }
  have mmdebstrap || { lost bitcoin-knots "mmdebstrap cannot be installed"; return; }
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -v -e security | head -n 1)
  rm -rf "$tree"
  if ! root mmdebstrap --quiet --mode=root --variant=extract --include=bitcoin-knots/trixie-backports trixie "$tree" \
      "deb $mirror trixie main" "deb $mirror trixie-backports main" >>"$dir/knots.log" 2>&1; then
    lost bitcoin-knots "trixie-backports could not be unpacked, see target/components/knots.log"; return
  fi
  printf '#!/bin/sh\nexec "%s/usr/lib64/ld-linux-x86-64.so.2" --library-path "%s/usr/lib/x86_64-linux-gnu" "%s/usr/bin/bitcoind" "$@"\n' \
    "$tree" "$tree" "$tree" >"$dir/bitcoind"
  chmod 755 "$dir/bitcoind"
  say bitcoin-knots "$("$dir/bitcoind" -version 2>&1 | head -n 1)"
}

database() {
  have mariadbd || { update; apt install --no-install-recommends mariadb-server; }
  if have mariadbd; then say mariadb "$(mariadbd --version)"; else lost mariadb "mariadb-server cannot be installed"; fi
}

foreign() {
  local venv=$dir/python
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >>"$dir/pip.log" 2>&1
  "$venv/bin/python" -c 'import grpc, grpc_tools, nacl' 2>/dev/null ||
    "$venv/bin/pip" install --quiet --disable-pip-version-check grpcio grpcio-tools pynacl >>"$dir/pip.log" 2>&1
  if "$venv/bin/python" -c 'import grpc, grpc_tools, nacl' 2>/dev/null; then
    say grpcio "$("$venv/bin/python" -c 'import grpc; print(grpc.__version__)')"
  else lost grpcio "PyPI's grpcio, grpcio-tools or pynacl cannot be installed"; fi
}

keygen() {
  have ssh-keygen || { update; apt install --no-install-recommends openssh-client; }
  if have ssh-keygen; then say ssh-keygen "$(ssh -V 2>&1)"; else lost ssh-keygen "openssh-client cannot be installed"; fi
}

# LGPL contracts and peers: what the tests run against, never a part of the product. Versions are pinned.
evm() {
  local evm=$dir/evm venv=$dir/evm/python
  have npm || { update; apt install --no-install-recommends npm; }
  have npm || { lost anvil "npm cannot be installed"; return; }
  mkdir -p "$evm"
  if [ ! -e "$evm/complete" ]; then
    printf '{"name": "countersign-evm", "private": true}\n' >"$evm/package.json"
    npm install --prefix "$evm" --no-audit --no-fund --ignore-scripts --legacy-peer-deps --save-exact \
      @foundry-rs/anvil@1.7.1 ganache@7.9.2 @safe-global/safe-contracts@1.4.1 @safe-global/safe-smart-account@1.5.0 \
      @safe-global/protocol-kit@8.0.7 ethers@6.17.0 viem@2.57.20 >>"$dir/npm.log" 2>&1 && touch "$evm/complete"
  fi
  if [ -e "$evm/complete" ]; then say anvil "$(ls "$evm"/node_modules/@foundry-rs/*/bin/anvil) and the Safe contracts"
  else lost anvil "npm could not install it with the Safe contracts, see target/components/npm.log"; return; fi
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >>"$dir/pip.log" 2>&1
  "$venv/bin/python" -c 'import safe_eth' 2>/dev/null ||
    "$venv/bin/pip" install --quiet --disable-pip-version-check safe-eth-py==7.27.0 >>"$dir/pip.log" 2>&1
  if "$venv/bin/python" -c 'import safe_eth' 2>/dev/null; then say safe-eth-py 7.27.0
  else lost safe-eth-py "PyPI's safe-eth-py cannot be installed"; fi
}

node; database; foreign; keygen; evm
exit 0
