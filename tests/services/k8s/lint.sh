#!/usr/bin/env bash
# lint.sh DIRECTORY: checks chart, kustomize base, components and examples with the tools that fetch.sh has brought into DIRECTORY.
# Without a cluster and without the network.
set -euo pipefail
[ $# = 1 ] || { echo "usage: lint.sh DIRECTORY" >&2; exit 2; }
tools=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
PATH=$tools/bin:$tools/python/bin:$PATH
trap 'rm -rf "$rendered"' EXIT
rendered=$(mktemp -d)

# The lowest that Chart.yaml allows, and the newest that has schemas.
versions=(1.30.0 1.37.0)

# check NAME: what is in that file of $rendered must be what Kubernetes takes.
check() {
  for version in "${versions[@]}"; do
    python "$here/schemas.py" "$tools/crds" "$version" <"$rendered/$1" || { echo "lint.sh: $1, Kubernetes $version" >&2; exit 1; }
  done
}

# secure NAME: and its pods must be what a careful cluster takes. Not asked for: a limit of CPU, which would delay answers; to pull
# an image whose tag never changes each time; a limit of storage, since nothing but logs is written.
secure() {
  pod-security <"$rendered/$1" || { echo "lint.sh: $1" >&2; exit 1; }
  kube-score score --output-format ci --kubernetes-version v1.30 --enable-optional-test container-seccomp-profile \
    --ignore-container-cpu-limit --ignore-test container-image-pull-policy \
    --ignore-test container-ephemeral-storage-request-and-limit "$rendered/$1" >"$rendered/score" && return
  grep CRITICAL "$rendered/score" >&2
  exit 1
}

yamllint --strict -c "$here/yamllint.yaml" k8s
find tests .ci -name '*.sh' -exec shellcheck {} +

for values in k8s/chart/values.yaml k8s/chart/ci/*-values.yaml; do
  name=$(basename "$values")
  helm lint --quiet --strict k8s/chart --namespace keda --values "$values"
  helm template scaler k8s/chart --namespace keda --values "$values" >"$rendered/$name"
  check "$name"
  helm template scaler k8s/chart --namespace keda --values "$values" --no-hooks >"$rendered/$name"
  [ "$name" = least-values.yaml ] || secure "$name"
done

mkdir "$rendered/overlay"
cp -r k8s/base k8s/components "$rendered/overlay"
(cd "$rendered/overlay" && kustomize create --resources base && kustomize edit add component components/*)
for folder in k8s/base "$rendered/overlay"; do
  name=$(basename "$folder").yaml
  kustomize build "$folder" >"$rendered/$name"
  check "$name"
  secure "$name"
done

for example in k8s/examples/*.yaml; do
  cp "$example" "$rendered"
  check "$(basename "$example")"
done
sed -s '1i---' k8s/examples/*.yaml | pod-security
