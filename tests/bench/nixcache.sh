#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Our binary cache beside nginx, which serves the same files: one large archive,
# a range of it, many descriptions, and stock Nix copying from either.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
. "$TESTLIB/nix.sh"
requires nginx curl
nix_setup
export NIX_CONFIG="$NIX_CONFIG
narinfo-cache-negative-ttl = 0
narinfo-cache-positive-ttl = 0"
head -c "${BENCH_NIX_LARGE:-536870912}" /dev/urandom >"$SCRATCH/large"
large=$(nix_add "$SCRATCH/large")
mkdir "$SCRATCH/small"
small=()
for i in $(seq 300); do
    echo "$i" >"$SCRATCH/small/s$i"
    small+=("/nix/store/$(nix_add "$SCRATCH/small/s$i")")
done
mkdir "$SCRATCH/kept"
nix_cache "$SCRATCH/kept/main" none "$large" "${small[@]##*/}"

write_config
nix_role "$SCRATCH/kept"
ours=$CACHE
theirs=http://127.0.0.1:$(free_port)
mkdir "$SCRATCH/nginx"
cat >"$SCRATCH/nginx/conf" <<END
daemon off;
worker_processes auto;
pid $SCRATCH/nginx/pid;
error_log $SCRATCH/nginx/error;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    client_body_temp_path $SCRATCH/nginx/b;
    proxy_temp_path $SCRATCH/nginx/p;
    fastcgi_temp_path $SCRATCH/nginx/f;
    uwsgi_temp_path $SCRATCH/nginx/u;
    scgi_temp_path $SCRATCH/nginx/s;
    server { listen ${theirs#http://}; root $SCRATCH/kept/main; }
}
END
chmod 755 "$SCRATCH"
[ "$(id -u)" -ne 0 ] || sed -i '1i user root;' "$SCRATCH/nginx/conf"
start nginx nginx -p "$SCRATCH/nginx" -c "$SCRATCH/nginx/conf"
poll_until 20 curl -fsS --noproxy '*' -o /dev/null "$theirs/nix-cache-info" ||
    fail "nginx does not answer"
nar=$(sed -n 's/^URL: //p' "$SCRATCH/kept/main/${large:0:32}.narinfo")
get() { timed curl -fsS --noproxy '*' -o /dev/null "$@"; }

whole_ours() { get "$ours/$nar"; }
whole_nginx() { get "$theirs/$nar"; }
whole_ours
whole_nginx
rounds "$ROUNDS" whole_ours whole_nginx
ratio "an archive of $(($(stat -c %s "$SCRATCH/kept/main/$nar") >> 20)) MiB / nginx" \
    whole_ours whole_nginx 1.5
size=$(stat -c %s "$SCRATCH/kept/main/$nar")
row "the same, served" "$(calc "$size / 1e6 / $(median whole_ours)" 0)" " MB/s" ">500"

for url in "$ours" "$theirs"; do
    for p in "${small[@]##*/}"; do
        printf 'url = "%s/%s.narinfo"\noutput = "/dev/null"\n' "$url" "${p:0:32}"
    done >"$SCRATCH/urls.${url##*:}"
done
infos_ours() { get -K "$SCRATCH/urls.${ours##*:}"; }
infos_nginx() { get -K "$SCRATCH/urls.${theirs##*:}"; }
rounds "$ROUNDS" infos_ours infos_nginx
ratio "300 descriptions, one connection / nginx" infos_ours infos_nginx 3

ranges() { # URL - 200 ranges of 256 KiB
    local i
    for i in $(seq 0 199); do
        printf 'next\nurl = "%s/%s"\noutput = "/dev/null"\nrange = "%d-%d"\nnoproxy = "*"\n' \
            "$1" "$nar" $((i * 1000000)) $((i * 1000000 + 262143))
    done | sed 1d >"$SCRATCH/ranges.${1##*:}"
}
ranges "$ours"
ranges "$theirs"
ranges_ours() { get -K "$SCRATCH/ranges.${ours##*:}"; }
ranges_nginx() { get -K "$SCRATCH/ranges.${theirs##*:}"; }
rounds "$ROUNDS" ranges_ours ranges_nginx
ratio "200 ranges of 256 KiB / nginx" ranges_ours ranges_nginx 2

copy() { # URL - 300 small paths by stock Nix
    rm -rf "$SCRATCH/into"
    timed quietly nix copy --from "$1" --to "$SCRATCH/into" \
        --option trusted-public-keys "$NIX_KEY" "${small[@]}"
}
copy_ours() { copy "$ours"; }
copy_nginx() { copy "$theirs"; }
rounds 3 copy_ours copy_nginx
ratio "nix copy of 300 small paths / nginx" copy_ours copy_nginx 1.5
