#!/usr/bin/env bash
# fetch.sh DIRECTORY: brings what checks the manifests into DIRECTORY, once for each version of its input files: programs in bin/,
# Python's modules in an environment of their own, python/, and the CRDs of others in crds/. All versions are fixed, and Go's
# checksum database and go.sum vouch for what Go brings.
set -euo pipefail
[ $# = 1 ] || { echo "usage: fetch.sh DIRECTORY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
for tool in go python3; do
  command -v "$tool" >/dev/null && continue
  echo "fetch.sh: $tool is needed for the checks of the manifests (Go 1.26, Python 3 with venv)" >&2
  exit 1
done
inputs=$(cd "$here" && cksum fetch.sh requirements.txt pod-security/*)
if [ "$(cat "$1/.inputs" 2>/dev/null)" = "$inputs" ]; then exit 0; fi
rm -rf "$1"
mkdir -p "$1"/{bin,crds}
directory=$(cd "$1" && pwd)

export GOBIN=$directory/bin CGO_ENABLED=0 GOFLAGS=-trimpath
for program in helm.sh/helm/v4/cmd/helm@v4.3.1 sigs.k8s.io/kustomize/kustomize/v5@v5.8.2 \
  github.com/zegl/kube-score/cmd/kube-score@v1.20.0; do
  go install -ldflags="-s -w" "$program" 2>&1 | sed '/^go: downloading/d'
done
(cd "$here/pod-security" && go install -ldflags="-s -w" . 2>&1 | sed '/^go: downloading/d')

# crds MODULE@VERSION FILES: CRDs of a Go module. FILES is a pattern, which may match many.
crds() {
  go mod download "$1"
  # shellcheck disable=SC2086
  cp "$(go list -m -f '{{.Dir}}' "$1")"/$2 "$directory/crds"
}
crds github.com/kedacore/keda/v2@v2.21.0 'config/crd/bases/keda.sh_*.yaml'
crds github.com/prometheus-operator/prometheus-operator@v0.85.0 'example/prometheus-operator-crd/*_servicemonitors.yaml'
crds github.com/prometheus-operator/prometheus-operator@v0.85.0 'example/prometheus-operator-crd/*_prometheusrules.yaml'
crds github.com/cert-manager/cert-manager@v1.21.2 'deploy/crds/cert-manager.io_*s.yaml'
chmod -R u+w "$directory/crds"

python3 -m venv "$directory/python"
# nothing is resolved, and nothing is built: the versions in the file, all of them
"$directory/python/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$here/requirements.txt"
# last of all, so that what was left unfinished is made anew
echo "$inputs" >"$directory/.inputs"
