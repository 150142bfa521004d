#!/usr/bin/env bash
# fetch.sh DIRECTORY [control-plane]: builds Kubernetes' control plane and KEDA, or the control plane alone, into DIRECTORY, each once per
# version of its input files: programs in bin/, the definitions of KEDA's objects in crds/. Only Go is needed; nothing is installed.
set -euo pipefail
case $#:${2-} in
  1: | 2:control-plane) ;;
  *) echo "usage: fetch.sh DIRECTORY [control-plane]" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
# where Go's own installer puts it
PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || { echo "fetch.sh: Go 1.26 is needed for the tests with Kubernetes and KEDA" >&2; exit 1; }
inputs=$(cd "$here" && cksum go.mod go.sum fetch.sh)
is_built() { [ "$(cat "$1" 2>/dev/null)" = "$inputs" ]; }
version() { go list -m -f '{{.Version}}' "$1"; }
keda=github.com/kedacore/keda/v2
build() {
  local flags
  # without its version an API server reports v0.0.0, which clients compare with their own
  flags="-s -w -X k8s.io/component-base/version.gitVersion=$(version k8s.io/kubernetes) -X $keda/version.Version=$(version $keda)"
  go build -buildvcs=false -trimpath -ldflags "$flags" -o "$directory/bin/" "$@"
}

if ! is_built "$1/.control-plane"; then
  # KEDA's programs of older input files, too
  rm -rf "$1"
  mkdir -p "$1/bin"
  directory=$(cd "$1" && pwd)
  echo "fetch.sh: etcd and Kubernetes from their Go modules: about 12 minutes of CPU time if Go's cache is cold" >&2
  (cd "$here" && build k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager go.etcd.io/etcd/server/v3)
  mv "$directory/bin/server" "$directory/bin/etcd"
  # last of all, so that an unfinished directory is built again
  echo "$inputs" >"$directory/.control-plane"
fi
if [ "${2-}" = control-plane ] || is_built "$1/.keda"; then exit 0; fi
directory=$(cd "$1" && pwd)

echo "fetch.sh: KEDA from its Go modules: 6 to 14 minutes of CPU time more, and 9 GB of Go's caches in all, if they are cold" >&2
cd "$here"
build $keda/cmd/operator $keda/cmd/adapter
rm -rf "$directory/crds"
cp -r "$(go list -m -f '{{.Dir}}' $keda)/config/crd/bases" "$directory/crds"
chmod -R u+w "$directory/crds"
echo "$inputs" >"$directory/.keda"
