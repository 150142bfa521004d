#!/usr/bin/env bash
# build.sh NAME: builds the Dockerfile as NAME, without a daemon and without a registry.
#
# The two bases are made from Debian's packages, alike in what matters here to those that the Dockerfile names: a toolchain with a C
# compiler, and glibc without a shell. Images are kept in target/services/image, the bases once for each version of this file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/services/image/storage.sh
. "$here/storage.sh"
name=$1

have_tools() { command -v buildah && command -v mmdebstrap; } >/dev/null
if ! have_tools && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah mmdebstrap >&2
fi
have_tools || { echo "build.sh: buildah and mmdebstrap are needed (Debian's packages of these names)" >&2; exit 1; }

# import NAME TARBALL [CONFIG…]: a tarball of files as an image
import() {
  local container
  container=$(buildah from scratch)
  buildah add -q "$container" "$2" / >/dev/null
  buildah config "${@:3}" "$container"
  buildah commit -q --rm "$container" "$1" >/dev/null
}

wanted=$(cat "$here/build.sh" "$root/rust-toolchain.toml" | cksum)
if [ "$(cat "$state/.bases" 2>/dev/null)" != "$wanted" ]; then
  files=$(mktemp -d)
  trap 'rm -rf "$files"' EXIT
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,gcc,libc6-dev bookworm "$files/build.tar" >&2
  mmdebstrap --quiet --variant=extract --include=libc6,libgcc-s1,base-files bookworm "$files/base.tar" >&2
  import localhost/scaler-build "$files/build.tar" \
    --env PATH=/opt/rust/bin:/usr/local/bin:/usr/bin:/bin --env CARGO_HOME=/opt/cargo
  import localhost/scaler-base "$files/base.tar"
  # a shell in the base would hide that the image starts without one
  container=$(buildah from --pull=never localhost/scaler-base)
  mounted=$(buildah mount "$container")
  rm -rf "$mounted"/bin/sh "$mounted"/bin/bash "$mounted"/usr/bin/sh "$mounted"/usr/bin/bash
  buildah commit -q --rm "$container" localhost/scaler-base >/dev/null
  echo "$wanted" >"$state/.bases"
fi

# the toolchain that builds everything else, and the crates that it has already fetched
toolchain=$(cd "$root" && rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
[ -d "$cargo_home/registry" ] || mkdir -p "$cargo_home/registry"
volumes=(--volume "$toolchain:/opt/rust:ro" --volume "$cargo_home/registry:/opt/cargo/registry")
if [ -f "$cargo_home/config.toml" ]; then volumes+=(--volume "$cargo_home/config.toml:/opt/cargo/config.toml:ro"); fi
buildah build --quiet --isolation chroot --layers --pull=never "${volumes[@]}" \
  --build-arg BUILD_IMAGE=localhost/scaler-build --build-arg BASE_IMAGE=localhost/scaler-base \
  --build-arg COMMIT="$(git -C "$root" rev-parse --short=12 HEAD)" \
  --tag "$name" "$root" >&2
