#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# The power goes while a workspace is used (the disk below takes nothing more and
# forgets what it was not told to keep): what was fsynced is there, the rest is
# there, or older, or empty, and never something else; three times in a row
set -euo pipefail
# a world of its own: another boot is a file over the kernel's
if [ "${1:-}" != inside ]; then
    [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null || {
        echo "skip: needs root and mount namespaces"
        exit 77
    }
    exec unshare -m --propagation private bash "$0" inside
fi
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse root git python3 mkfs.ext4

git_repo "$SCRATCH/repo"
mkdir -p "$SCRATCH/repo"/{d,moved,more}
for i in {1..40}; do seq "$i" $((i * 100)) >"$SCRATCH/repo/more/$i"; done
for f in a d/b moved/c gone old; do echo "revision $f" >"$SCRATCH/repo/$f"; done
git_commit "$SCRATCH/repo" files

disk=$SCRATCH/disk
m=$SCRATCH/m
mkdir "$disk" "$m"
truncate -s 200M "$SCRATCH/image"
mkfs.ext4 -q -F "$SCRATCH/image"
mount -o loop "$SCRATCH/image" "$disk" 2>/dev/null || skip "no loop devices"
at_exit unmount_lazily "$disk"
write_config
sed -i "s|^store_path = .*|store_path = \"$disk/store\"|" "$DAEMON_CONFIG"
DAEMON_STORE=$disk/store
echo boot 0 >"$SCRATCH/boot"
mount --bind "$SCRATCH/boot" /proc/sys/kernel/random/boot_id
at_exit umount -l /proc/sys/kernel/random/boot_id
start_daemon
mount_source "$SCRATCH/repo" "$m" --workspace w

cat >"$SCRATCH/power.py" <<'END_PY'
import fcntl, hashlib, os, sys
what, top, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
def data(name, size):
    out, x = b'', name.encode() + b'%d' % n
    while len(out) < size:
        x = hashlib.sha256(x).digest()
        out += x
    return out[:size]
def put(name, size, sync):
    with open(top + '/' + name, 'wb') as f:
        f.write(data(name, size))
        f.flush()
        if sync:
            os.fsync(f.fileno())
def sync_dir(name):
    fd = os.open(top + '/' + name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
def get(name):
    with open(top + '/' + name, 'rb') as f:
        return f.read()
sizes = {'s/%d' % i: 1 + i * 30011 % 300000 for i in range(12)}
loose = {'u/%d' % i: 1 + i * 70001 % 200000 for i in range(40)}
if what == 'work':
    for d in ('s', 'u'):
        os.makedirs(top + '/' + d, exist_ok=True)
    for name, size in sizes.items():
        put(name, size, True)
    with open(top + '/a', 'ab') as f:
        f.write(b'round %d\n' % n)
        f.flush()
        os.fsync(f.fileno())
    if n == 1:
        os.rename(top + '/moved', top + '/moved2')
        os.unlink(top + '/gone')
    os.rename(top + '/s/0', top + '/s/renamed')
    sync_dir('.')
    # from here on nothing is promised
    for name, size in loose.items():
        put(name, size, False)
    put('d/b', 5000, False)
    put('s/1.new', 100, False)
    os.rename(top + '/s/1.new', top + '/u/from-s')
    # the disk stops: FS_IOC_SHUTDOWN, and its journal is not written
    fd = os.open(sys.argv[4], os.O_RDONLY)
    fcntl.ioctl(fd, 0x8004587d, (2).to_bytes(4, 'little'))
    os.close(fd)
else:
    bad = []
    for name, size in sizes.items():
        if get(name if name != 's/0' else 's/renamed') != data(name, size):
            bad.append(name)
    if get('a') != b'revision a\n' + b''.join(
            b'round %d\n' % i for i in range(1, n + 1)):
        bad.append('a')
    if get('moved2/c') != b'revision moved/c\n':
        bad.append('moved2/c')
    for name in ('moved', 'gone', 's/0'):
        if os.path.exists(top + '/' + name):
            bad.append(name + ' is back')
    kept = 0
    for name, size in list(loose.items()) + [('d/b', 5000)]:
        try:
            got = get(name)
        except FileNotFoundError:
            got = b''
        kept += len(got) == size
        last = n
        for n in range(last, 0, -1): # of this round, or of one before
            if data(name, size).startswith(got.rstrip(b'\0')):
                break
        else:
            if got != b'revision d/b\n':
                bad.append('%s: %r...' % (name, got[:40]))
        n = last
    print('of what was not fsynced', kept, 'of', len(loose) + 1, 'are whole')
    if bad:
        print('wrong:', *bad)
        sys.exit(1)
END_PY

for round in 1 2 3; do
    python3 "$SCRATCH/power.py" work "$m" $round "$disk"
    kill_daemon
    unmount_lazily "$m"
    wait_until 30 umount "$disk"
    echo "boot $round" >"$SCRATCH/boot"
    mount -o loop "$SCRATCH/image" "$disk"
    start_daemon
    wait_until 30 mount_answers "$m"
    python3 "$SCRATCH/power.py" check "$m" $round ||
        fail "round $round: not what was fsynced"
    for i in {1..40}; do
        cmp "$SCRATCH/repo/more/$i" "$m/more/$i" || fail "more/$i"
    done
    within 60 scorpio_cli status "$m" >/dev/null || fail "status"
done
within 60 scorpio_cli -q umount "$m" || fail "umount"
stop_daemon
umount "$disk"
fsck.ext4 -fn "$SCRATCH/image" >/dev/null 2>&1 || note "(the image itself is damaged)"
