# shellcheck shell=bash disable=SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# fixtures.sh - large real input, made once and kept in $FIXTURES (outside the
# clone: SCORPIO_FIXTURES, default /var/tmp/scorpio-fixtures). After
# functions.sh:
#
#	fixture_linux           Debian's linux-source-6.1: about 78 000 files
#	fixture_glibc           Debian's glibc-source: about 20 000 files
#	fixture_synthetic N     N made-up files (tests/tools/gen_repo.py)
#	fixture_linux_switch    linux.git with the branches one, percent (1 % of the
#				files changed), ten_thousand and thirty (30 %)
#	fixture_checkout REPO   a checkout of REPO's main
#	fixture_promtool        Prometheus' checker
#
# Each sets FIXTURE to a path, or skips the test when it cannot be had. The
# repositories are bare and packed, with two commits on main; the second changes
# 1 % of the files (synthetic: 0.1 %), the tag `first` names the first.

fixture_have() { # NAME - is it there? else prepare a directory to make it in
    FIXTURE=$FIXTURES/$1
    [ -e "$FIXTURE" ] && return
    mkdir -p "$FIXTURES" 2>/dev/null || skip "cannot write $FIXTURES"
    exec {FIXTURE_LOCK}>"$FIXTURES/.lock"
    flock -w 900 "$FIXTURE_LOCK" || skip "$FIXTURES is locked by another run"
    [ -e "$FIXTURE" ] && { fixture_unlock; return; }
    FIXTURE_NEW=$FIXTURE.new
    rm -rf "$FIXTURE_NEW"
    note "making $FIXTURE (once)"
    return 1
}

fixture_unlock() { exec {FIXTURE_LOCK}>&-; }

fixture_done() {
    mv "$FIXTURE_NEW" "$FIXTURE"
    fixture_unlock
}

fixture_room() { # MiB
    local free
    free=$(df -Pm "$FIXTURES" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$1" ] || skip "$FIXTURES has $free MiB free, needs $1"
}

# Debian package -> $DEB, the package file; $1 = name
fixture_deb() {
    local dir=$FIXTURES/deb
    requires apt-get dpkg-deb
    mkdir -p "$dir"
    DEB=$(compgen -G "$dir/$1_*.deb" | head -n1) || true
    [ "$DEB" ] && return
    (cd "$dir" && chmod 755 . && timeout 300 apt-get -q -o APT::Sandbox::User=root \
        download "$1" >"$SCRATCH/apt.out" 2>&1 </dev/null) || {
        tail -n 3 "$SCRATCH/apt.out"
        skip "cannot download the Debian package $1"
    }
    DEB=$(compgen -G "$dir/$1_*.deb" | head -n1)
}

fixture_import() { # fast-import stream on stdin -> $FIXTURE_NEW, packed
    git init -q --bare -b main "$FIXTURE_NEW"
    git -C "$FIXTURE_NEW" fast-import --quiet
    git -C "$FIXTURE_NEW" -c pack.threads=2 repack -q -a -d -f \
        --depth=30 --window=10 --write-bitmap-index
    git -C "$FIXTURE_NEW" config gc.auto 0
    git -C "$FIXTURE_NEW" config uploadpack.allowFilter true
    git -C "$FIXTURE_NEW" config uploadpack.allowAnySHA1InWant true
}

fixture_debian() { # NAME PACKAGE INNER-TAR MiB
    fixture_have "$1" && return
    requires git xz python3
    fixture_room "$4"
    fixture_deb "$2"
    dpkg-deb --fsys-tarfile "$DEB" | tar -xO --wildcards "$3" | xz -dc |
        "$SCORPIO_SRC/tests/tools/tar2git.py" | fixture_import
    fixture_done
}

fixture_linux() {
    fixture_debian linux.git linux-source-6.1 '*/linux-source-*.tar.xz' 3000
}

fixture_linux_switch() {
    local linux
    fixture_linux
    linux=$FIXTURE
    fixture_have linux-switch.git && return
    fixture_room 500
    git clone -q --bare --shared "$linux" "$FIXTURE_NEW"
    git -C "$FIXTURE_NEW" config gc.auto 0
    git -C "$FIXTURE_NEW" config uploadpack.allowFilter true
    git -C "$FIXTURE_NEW" config uploadpack.allowAnySHA1InWant true
    git -C "$FIXTURE_NEW" branch one first
    git -C "$FIXTURE_NEW" branch percent main
    "$SCORPIO_SRC/tests/tools/change_files.py" "$FIXTURE_NEW" first \
        ten_thousand=10000 thirty=30% | git -C "$FIXTURE_NEW" fast-import --quiet
    fixture_done
}

fixture_glibc() {
    fixture_debian glibc.git glibc-source '*/glibc-*.tar.xz' 400
}

fixture_synthetic() { # FILES
    fixture_have "synthetic-$1.git" && return
    requires git python3
    fixture_room $(($1 / 2000 + 50))
    git init -q --bare -b main "$FIXTURE_NEW"
    "$SCORPIO_SRC/tests/tools/gen_repo.py" "$1" |
        git -C "$FIXTURE_NEW" fast-import --quiet
    git -C "$FIXTURE_NEW" config gc.auto 0
    git -C "$FIXTURE_NEW" config uploadpack.allowFilter true
    fixture_done
}

fixture_checkout() { # REPO
    local repo=$1
    fixture_have "$(basename "$repo" .git).tree" && return
    mkdir "$FIXTURE_NEW"
    GIT_INDEX_FILE=$SCRATCH/.index git --git-dir="$repo" \
        --work-tree="$FIXTURE_NEW" checkout -q -f main -- .
    fixture_done
}

fixture_promtool() {
    FIXTURE=$(command -v promtool) && return
    fixture_have promtool && return
    fixture_room 200
    fixture_deb prometheus
    dpkg-deb --fsys-tarfile "$DEB" | tar -xO ./usr/bin/promtool >"$FIXTURE_NEW"
    chmod 755 "$FIXTURE_NEW"
    rm -f "$DEB"
    fixture_done
}
