#!/usr/bin/env bash
# fetch.sh DIRECTORY: builds promtool, Prometheus' checker of metrics and rules, into DIRECTORY, once for each version of its input
# files; without service discovery, which is most of it.
set -euo pipefail
[ $# = 1 ] || { echo "usage: fetch.sh DIRECTORY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
command -v go >/dev/null || { echo "fetch.sh: go is needed for the tests of metrics and rules (Go 1.26)" >&2; exit 1; }
inputs=$(cd "$here" && cksum go.mod go.sum fetch.sh)
if [ "$(cat "$1/.inputs" 2>/dev/null)" = "$inputs" ]; then exit 0; fi
rm -rf "$1"
mkdir -p "$1"
directory=$(cd "$1" && pwd)
cd "$here"
GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false -ldflags '-s -w' -tags remove_all_sd -o "$directory/promtool" \
  github.com/prometheus/prometheus/cmd/promtool
# last of all, so that what was left unfinished is made anew
echo "$inputs" >"$directory/.inputs"
