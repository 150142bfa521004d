#!/usr/bin/env bash
# fetch.sh DIRECTORY: builds the client into DIRECTORY, once for each version of its input files.
set -euo pipefail
[ $# = 1 ] || { echo "usage: fetch.sh DIRECTORY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# where Go's own installer puts it
PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || { echo "fetch.sh: go is needed for the tests with KEDA's client (Go 1.26)" >&2; exit 1; }
inputs=$(cd "$here" && cksum go.mod go.sum main.go fetch.sh)
if [ "$(cat "$1/.inputs" 2>/dev/null)" = "$inputs" ]; then exit 0; fi
rm -rf "$1"
mkdir -p "$1"
directory=$(cd "$1" && pwd)
(cd "$here" && go build -buildvcs=false -trimpath -o "$directory/keda-client" .)
# last of all, so that what was left unfinished is made anew
echo "$inputs" >"$directory/.inputs"
