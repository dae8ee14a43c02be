#!/bin/sh
# other-node.sh VERSION: prints the folder of a node of that version (24, 24.21.0 …), from its npm package if need be.
set -eu

version=$1
# The major version of the packages' Node.js stands for exactly that one, so that the tests run on it.
packaged=$(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$(dirname "$0")/../packaging/node.json")
[ "$version" != "${packaged%%.*}" ] || version=$packaged
case $(uname -m) in
x86_64) arch=x64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac
cache=${CRID_STACK_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/crid}/node/$version
bin=$cache/node_modules/node-linux-$arch/bin
# The package is the published binary and nothing else; no script runs when it is installed.
[ -x "$bin/node" ] ||
  npm install --prefix "$cache" --ignore-scripts --no-audit --no-fund --loglevel=error "node-linux-$arch@$version" >&2
found=$("$bin/node" --version)
echo "$found" >&2
case $found in
"v$version" | "v$version".*) ;;
*)
  echo "Node.js $found instead of $version" >&2
  exit 1
  ;;
esac
echo "$bin"
