#!/usr/bin/env bash
# `make newcomer-test`: the README's two commands on a bare system of another release, as a user who is not root.
#
#     tests/newcomer.sh [SUITE] [COMMAND ...]      (trixie; "make demo" "make test WITHOUT=shared")
#
# Root; debootstrap. The system is a folder that debootstrap makes, entered by chroot with process ids, mounts and /tmp
# of its own; processor, kernel and network are this machine's. The first command is tried before anything is installed
# that it needs: it must say in one message what is missing, and that command is what is then run.
set -euo pipefail
suite=${1:-trixie}
shift || true
[ $# -gt 0 ] || set -- "make demo" "make test WITHOUT=shared"
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "newcomer-test: root is needed: debootstrap and chroot." >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "newcomer-test: apt-get install debootstrap" >&2; exit 2; }
if [ "${TOSIA_NEWCOMER:-}" != inside ]; then
  export TOSIA_NEWCOMER=inside
  exec unshare --mount --pid --fork --kill-child -- "$0" "$suite" "$@"
fi
root=$(mktemp -d)
chmod 755 "$root"
mount --bind "$root" "$root"
trap 'umount -R --lazy "$root"; rm -rf --one-file-system "$root"' EXIT
mirror=$(apt-get indextargets --format '$(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
  awk '$1 == "main" {print $2; exit}')
echo "newcomer-test: making $suite ..." >&2
debootstrap --variant=minbase --include=ca-certificates,make,git,python3 "$suite" "$root" "$mirror" >/dev/null
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
cp /etc/resolv.conf "$root/etc/"
# Where this machine's pip and npm take packages from, lent to the test and to nothing else.
mkdir -p "$root/usr/local/share/ca-certificates"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
python3 -m tests.image.pip_settings "$root"
chroot "$root" useradd --create-home newcomer
as_newcomer() {
  chroot --userspec=newcomer:newcomer "$root" /usr/bin/env -i HOME=/home/newcomer USER=newcomer LANG=C.UTF-8 \
    PATH=/usr/bin:/bin bash -c "cd ~/tosia 2>/dev/null || cd; $1"
}
git clone --quiet --no-hardlinks . "$root/home/newcomer/tosia"
chroot "$root" chown -R newcomer:newcomer /home/newcomer/tosia
if said=$(as_newcomer "$1" 2>&1); then
  echo "newcomer-test: \`$1\` needed nothing." >&2
else
  install=$(sed -nE 's/.*: (apt-get install .*)\.$/\1/p' <<<"$said" | head -1)
  echo "newcomer-test: it says: $(tail -2 <<<"$said")" >&2
  [ -n "$install" ] || exit 1
  chroot "$root" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive chroot "$root" $install --yes -qq --no-install-recommends >/dev/null
fi
for command in "$@"; do
  echo "newcomer-test: $command" >&2
  started=$SECONDS
  as_newcomer "$command" 2>&1 | tail -15
  echo "newcomer-test: $command: $((SECONDS - started)) s" >&2
done
