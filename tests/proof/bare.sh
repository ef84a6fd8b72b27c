#!/bin/bash
# timeout: 7200
# A bare Debian 12 (debootstrap, then only make and git): a fresh clone, `make
# test` and `make run`, nothing else typed. PROOF_TESTS limits what is tested.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires root git fuse
PATH=$PATH:/usr/sbin; command -v debootstrap >/dev/null ||
    apt-get -q -y install --no-install-recommends debootstrap >/dev/null ||
    skip "needs debootstrap"

suite=${PROOF_SUITE:-bookworm}
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null |
    awk '/^URIs:.*debian\/?$/ { print $2 } /^deb .*debian\/? / { print $2 }' |
    head -n1) || true
base=$FIXTURES/bare-$suite.tar
mkdir -p "$FIXTURES"
root=$SCRATCH/root
if [ ! -e "$base" ]; then
    debootstrap --variant=minbase --include=make,git,ca-certificates "$suite" \
        "$root" "${mirror:-http://deb.debian.org/debian}" >"$SCRATCH/debootstrap.log"
    tar -C "$root" -cf "$base.new" .
    mv "$base.new" "$base"
else
    mkdir "$root"
    tar -C "$root" -xpf "$base"
fi

# what the container or machine gives it: a root of its own, in a namespace of its own
start system unshare -m --propagation slave bash -ec '
    root=$1
    mount --bind "$root" "$root"
    for fs in proc sys dev; do mount --rbind "/$fs" "$root/$fs"; done
    mount -t tmpfs tmpfs "$root/tmp"
    mkdir "$root/old"
    cd "$root"
    pivot_root . old
    umount -l /old
    exec sleep infinity </dev/null' bash "$root"
system=$PID
running() { [ "$(readlink "/proc/$system/exe")" != "$(command -v bash)" ] &&
    nsenter -t "$system" -m -r test -e /clone; }
ln -sf ../proc/self/mounts "$root/etc/mtab"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/hosts "$root/etc/hosts" 2>/dev/null || true
for f in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ -e "$f" ] && cp "$f" "$root$f"
done
for f in /etc/apt/apt.conf.d/*prox*; do
    [ -e "$f" ] && cp "$f" "$root/etc/apt/apt.conf.d/"
done
git clone -q "$SCORPIO_SRC" "$root/clone" -c safe.directory='*'
wait_until 60 running

clean=(/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"})
inside() { nsenter -t "$system" -m -r -w "${clean[@]}" "$@"; }
inside sh -c 'command -v gcc' && fail "this is not a bare system"
begin=$(now_ms)
inside make -C /clone test ${PROOF_TESTS:+"TESTS=$PROOF_TESTS"} \
    >"$SCRATCH/make-test.out" 2>&1 || {
    tail -n 60 "$SCRATCH/make-test.out"
    fail "make test failed"
}
note "make test: $(grep 'passed, ' "$SCRATCH/make-test.out"), $((($(now_ms) - begin) / 1000)) s"
grep '^skip' "$SCRATCH/make-test.out" || true

inside make -C /clone clean >/dev/null
begin=$(now_ms)
start make-run nsenter -t "$system" -m -r -w "${clean[@]}" setsid make -C /clone run
run=$PID
mounted_inside() {
    awk '/ - fuse\./ { print $5; found = 1 } END { exit !found }' \
        "/proc/$system/mountinfo"
}
wait_until 300 mounted_inside
note "make run: mounted after $((($(now_ms) - begin) / 1000)) s, build included"
cat "$SCRATCH/make-run.log"
where=$(mounted_inside | head -n1)
inside test -e "$where/core/base.h" ||
    fail "the clone's history is not in $where: $(inside ls "$where")"
# Ctrl-C goes to the whole group of the terminal
kill -INT -- "-$run" 2>/dev/null || kill -INT "$run"
wait_until 20 gone "$run"
mounted_inside && fail "make run left a mount behind"
exit 0
