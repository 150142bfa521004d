#!/usr/bin/env bash
# run.sh NAME [ARGUMENT…]: runs an image as a restricted pod would: its own user, no capability, a root that cannot be written.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/services/image/storage.sh
. "$here/storage.sh"
name=$1
shift
container=$(buildah from --pull=never "$name")
trap 'buildah rm "$container" >/dev/null' EXIT
mounted=$(buildah mount "$container")
user=$(buildah inspect --format '{{.OCIv1.Config.User}}' "$container")
program=$(buildah inspect --format '{{index .OCIv1.Config.Entrypoint 0}}' "$container")
mkdir -p "$mounted/proc"
# mounts of a namespace end with it, and every exec keeps the process: a signal reaches the program itself
# shellcheck disable=SC2016
unshare --mount sh -ec '
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount -o remount,ro,bind "$1"
  mounted=$1 user=$2
  shift 2
  exec chroot --userspec="$user" --groups= "$mounted" "$@"
' sh "$mounted" "$user" "$program" "$@" &
child=$!
trap 'kill -TERM "$child"' TERM INT
status=0
wait "$child" || status=$?
# a signal ends the first wait; the second one is for the program
if kill -0 "$child" 2>/dev/null; then wait "$child" && status=0 || status=$?; fi
exit "$status"
