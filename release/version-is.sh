#!/usr/bin/env bash
# version-is.sh VERSION: fails where anything that carries a version carries another one.
set -euo pipefail
cd "$(dirname "$0")/.."
wrong=0
# is FILE PATTERN: the first match of the pattern's group is the version
is() {
  local found
  found=$(sed -nE "s/$2/\1/p" "$1" | head -1)
  [ "$found" = "$wanted" ] || { echo "version-is.sh: $1 says '$found', not '$wanted'" >&2; wrong=1; }
}
wanted=$1
is Cargo.toml '^version = "(.*)"$'
is Dockerfile '^ARG VERSION=(.*)$'
is k8s/chart/Chart.yaml '^version: "?([^"]*)"?$'
is k8s/chart/Chart.yaml '^appVersion: "?([^"]*)"?$'
is CHANGELOG.md '^## \[?([0-9][^] ]*)\]?.*$'
exit $wrong
