#!/bin/bash
# timeout: 300
# What is installed is enough: a plugin built from the installed headers by
# pkg-config alone, needing no symbol of the daemon, is found and used
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires make gcc pkg-config scorpio nm

variant=release
case $SCORPIO_BUILD in
*/build) ;;
*) variant=${SCORPIO_BUILD##*/} ;;
esac
[ "$variant" = release ] || skip "shown with the release build"
dest=$SCRATCH/dest
make -s -C "$SCORPIO_SRC" install DESTDIR="$dest" >"$SCRATCH/make.log" 2>&1 ||
    fail "make install: $(tail -n5 "$SCRATCH/make.log")"
for f in bin/scorpio bin/scorpio-check-backend include/scorpio/plugin.h \
    lib/pkgconfig/scorpio.pc share/scorpio/scorpio.toml.template \
    lib/scorpio/plugins/hello.so share/man/man1/scorpio.1 \
    lib/systemd/system/scorpio@.service; do
    [ -e "$dest/usr/local/$f" ] || fail "not installed: $f"
done

export PKG_CONFIG_PATH=$dest/usr/local/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
[ "$(pkg-config --libs scorpio | tr -d ' ')" = "" ] || fail "plugins link to something"
[ "$(pkg-config --variable=abi scorpio)" = 1 ] || fail "no abi in scorpio.pc"
mkdir "$SCRATCH/plugin"
sed 's/"hello"/"greet"/' "$SCORPIO_SRC/plugins/hello/hello.c" >"$SCRATCH/plugin/greet.c"
# shellcheck disable=SC2046
gcc -std=c99 -Wall -Wextra -fPIC -shared -fvisibility=hidden \
    $(pkg-config --cflags scorpio) -D_GNU_SOURCE "$SCRATCH/plugin/greet.c" \
    -o "$SCRATCH/plugin/greet.so"
nm -D --undefined-only "$SCRATCH/plugin/greet.so" | grep -qi scorpio &&
    fail "the plugin needs symbols of the daemon"
assert_eq "$(nm -D --defined-only "$SCRATCH/plugin/greet.so" | awk '{ print $NF }' |
    grep -v '^_' | tr '\n' ' ')" "scorpio_plugin_entry " "exported symbols"
"$dest/usr/local/bin/scorpio-check-backend" "$SCRATCH/plugin/greet.so" greet+world \
    >"$SCRATCH/contract.out" 2>&1 ||
    fail "the contract: $(tail -n 20 "$SCRATCH/contract.out")"
"$dest/usr/local/bin/scorpio" version | grep -q '[0-9]' || fail "no version"
make -s -C "$SCORPIO_SRC" uninstall DESTDIR="$dest"
[ -z "$(find "$dest" -type f)" ] ||
    fail "left after uninstall: $(find "$dest" -type f)"
