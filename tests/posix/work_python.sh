#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Python virtual environment in a workspace: made, filled, used, moved away
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires python3
python3 -c 'import venv, ensurepip' 2>/dev/null || skip "needs python3-venv"
small_mount
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

python3 -m venv "$M/venv"
assert_eq "$("$M/venv/bin/python" -c 'import sys; print(sys.prefix)')" "$M/venv"
# a wheel by hand: no network, no build tools
python3 - "$SCRATCH/hello_there-1.0-py3-none-any.whl" <<'END'
import sys, zipfile
info = "hello_there-1.0.dist-info/"
with zipfile.ZipFile(sys.argv[1], "w") as z:
    z.writestr("hello_there/__init__.py", "def greet():\n    return 'hello'\n")
    z.writestr("hello_there/data.txt", "data " * 5000)
    z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: hello-there\n"
               "Version: 1.0\n")
    z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: hand\n"
               "Root-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(info + "entry_points.txt",
               "[console_scripts]\nhello-there = hello_there:greet\n")
    z.writestr(info + "RECORD", "hello_there/__init__.py,,\n"
               "hello_there/data.txt,,\n" + "".join(
                   f"{info}{n},,\n" for n in
                   ("METADATA", "WHEEL", "entry_points.txt", "RECORD")))
END
"$M/venv/bin/pip" install -q --no-index --no-deps --no-cache-dir \
    "$SCRATCH/hello_there-1.0-py3-none-any.whl"
assert_eq "$("$M/venv/bin/python" -c \
    'import hello_there; print(hello_there.greet())')" hello
[ -x "$M/venv/bin/hello-there" ] || fail "no script was installed"
"$M/venv/bin/python" -m compileall -q "$M/venv/lib" || fail "compileall"
[ "$(find "$M/venv" -name '*.pyc' | wc -l)" -gt 100 ] || fail "no byte code"
rw_remount "$REPO" "$M"
assert_eq "$("$M/venv/bin/python" -c \
    'import hello_there; print(hello_there.greet())')" hello "after a new mount"
"$M/venv/bin/pip" uninstall -q -y hello-there
assert_fails "$M/venv/bin/python" -c 'import hello_there'
rm -r "$M/venv"
[ ! -e "$M/venv" ] || fail "rm -r left something"
