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

yamllint --strict -c "$here/yamllint.yaml" k8s
find tests .ci -name '*.sh' -exec shellcheck {} +

mkdir "$rendered"/{all,deployed,overlay}
for values in k8s/chart/values.yaml k8s/chart/ci/*-values.yaml; do
  helm lint --quiet --strict k8s/chart --namespace keda --values "$values"
  name=$(basename "$values")
  helm template scaler k8s/chart --namespace keda --values "$values" >"$rendered/all/$name"
  helm template scaler k8s/chart --namespace keda --values "$values" --no-hooks >"$rendered/deployed/$name"
done
cp -r k8s/base k8s/components "$rendered/overlay"
(cd "$rendered/overlay" && kustomize create --resources base && kustomize edit add component components/*)
kustomize build k8s/base | tee "$rendered/all/base.yaml" >"$rendered/deployed/base.yaml"
kustomize build "$rendered/overlay" | tee "$rendered/all/components.yaml" >"$rendered/deployed/components.yaml"

# The lowest that Chart.yaml allows, and the newest that has schemas.
python "$here/schemas.py" "$tools/crds,k8s/components/controller" 1.30.0,1.37.0 "$rendered"/all/*.yaml k8s/examples/*.yaml

for file in "$rendered"/all/*.yaml; do
  pod-security <"$file" || { echo "lint.sh: $(basename "$file")" >&2; exit 1; }
done
sed -s '1i---' k8s/examples/*.yaml | pod-security

# What a careful cluster wants besides. Not asked for: a limit of CPU, which would delay answers; to pull an image whose tag never
# changes each time; a limit of storage, since nothing but logs is written. The least that the chart can be is not judged.
rm "$rendered/deployed/least-values.yaml"
for file in "$rendered"/deployed/*.yaml; do
  kube-score score --output-format ci --kubernetes-version v1.30 --enable-optional-test container-seccomp-profile \
    --ignore-container-cpu-limit --ignore-test container-image-pull-policy \
    --ignore-test container-ephemeral-storage-request-and-limit "$file" >"$rendered/score" && continue
  grep CRITICAL "$rendered/score" >&2
  echo "lint.sh: $(basename "$file")" >&2
  exit 1
done
