# shellcheck shell=bash disable=SC2154
# To be read by a script that has set $root: an image store of the project's own.
state=$root/target/services/image
mkdir -p "$state"
printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/store"\n' "$state" "$state" >"$state/storage.conf"
export CONTAINERS_STORAGE_CONF=$state/storage.conf BUILDAH_ISOLATION=chroot
