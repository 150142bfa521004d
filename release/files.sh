#!/usr/bin/env bash
# files.sh DIRECTORY: makes everything that a release consists of but the image: an archive for each platform, the chart, rendered
# manifests, the schema, an SBOM, and checksums. The same commit in the same folder gives the same files.
set -euo pipefail
out=$1
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
commit=$(git rev-parse --short=12 HEAD)
name=keda-stream-scaler
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH STREAM_SCALER_COMMIT=$commit
tools=target/tools
rm -rf "$out"
mkdir -p "$out" "$tools"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# where this machine has its sources is nobody's business
export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/$name"

# pack FOLDER FILE: without anything of this machine or this hour
pack() {
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$work" -cf - "$1" | gzip -9n >"$out/$2"
}

host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --locked --target "$host"
binary=target/$host/release/$name
mkdir -p "$work/common/completions"
cp LICENSE README.md CHANGELOG.md "$work/common"
python3 release/licences.py >"$work/common/THIRD-PARTY-LICENCES.txt"
for shell in bash elvish fish powershell zsh; do "$binary" completions "$shell" >"$work/common/completions/$name.$shell"; done
"$binary" man --directory "$work/common/man"

# archive TARGET
archive() {
  local folder=$name-$version-$1
  cp -r "$work/common" "$work/$folder"
  install -m 0755 "target/$1/release/$name" "$work/$folder/$name"
  pack "$folder" "$folder.tar.gz"
}
archive "$host"

# the other platform, where its compiler is
cross=aarch64-unknown-linux-gnu
if [ "$host" = "$cross" ]; then
  echo "files.sh: this is $cross; no other platform is built here" >&2
elif command -v aarch64-linux-gnu-gcc >/dev/null; then
  rustup target add "$cross"
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc cargo build --release --locked --target "$cross"
  archive "$cross"
else
  echo "files.sh: $cross is left out: gcc-aarch64-linux-gnu is not installed" >&2
fi

if ! "$tools/bin/cargo-cyclonedx" --version 2>/dev/null | grep -q 0.5.9; then
  cargo install --quiet --locked --root "$tools" cargo-cyclonedx@0.5.9
fi
"$tools/bin/cargo-cyclonedx" cyclonedx --format json --spec-version 1.5 --target all --override-filename "$name-$version.cdx" --quiet
sed "s#$PWD#/$name#g" "$name-$version.cdx.json" >"$out/$name-$version.cdx.json"
# one is written for each package of the workspace
rm -f "$name-$version.cdx.json"
for manifest in */Cargo.toml; do rm -f "${manifest%/*}/$name-$version.cdx.json"; done

k8s=target/services/k8s
tests/services/k8s/fetch.sh "$k8s"
"$k8s/bin/helm" package k8s/chart --destination "$out" >/dev/null
"$k8s/bin/kustomize" build k8s/base >"$out/$name-$version.yaml"
cp k8s/schema/scaledobject.schema.json "$out/$name-$version.schema.json"
cp k8s/schema/connections.schema.json "$out/$name-$version.connections.schema.json"

(cd "$out" && sha256sum -- * >SHA256SUMS)
ls -l "$out" >&2
