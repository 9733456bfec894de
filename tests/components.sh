#!/usr/bin/env bash
# Brings what the tests run against, by name, from Debian and PyPI, into target/components:
#   bitcoin-knots (a real node), mariadb-server (a real database), grpcio (a client nobody here wrote).
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

node; database; foreign; keygen
exit 0
