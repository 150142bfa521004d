#!/usr/bin/env bash
# fetch.sh DIRECTORY: brings a headless Chromium and what drives it into DIRECTORY, once for each version of its input files: the npm
# modules in node_modules/, the browser itself and its fonts in unpacked/.
set -euo pipefail
[ $# = 1 ] || { echo "usage: fetch.sh DIRECTORY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
for tool in node npm; do
  command -v "$tool" >/dev/null && continue
  echo "fetch.sh: $tool is needed for the tests in a browser (Node 20)" >&2
  exit 1
done
inputs=$(cd "$here" && cksum package.json package-lock.json unpack.mjs fetch.sh)
if [ "$(cat "$1/.inputs" 2>/dev/null)" = "$inputs" ]; then exit 0; fi
rm -rf "$1"
mkdir -p "$1/unpacked"
directory=$(cd "$1" && pwd)
cp "$here"/{package.json,package-lock.json,unpack.mjs} "$directory"
cd "$directory"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
TMPDIR=$directory/unpacked node unpack.mjs
# last of all, so that what was left unfinished is made anew
echo "$inputs" >"$directory/.inputs"
