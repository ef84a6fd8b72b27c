#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Completions load in their shells, know every command, and complete.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio

for shell in bash zsh fish; do
    "$SCORPIO" completions $shell >"$SCRATCH/c.$shell"
    for word in mount umount warmup completions doctor; do
        grep -qw -- "$word" "$SCRATCH/c.$shell" || fail "$shell: no $word"
    done
done
bash -n "$SCRATCH/c.bash"
# shellcheck source=/dev/null
. "$SCRATCH/c.bash"
complete_words() { # WORDS... - what the last one may become
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _scorpio
    echo "${COMPREPLY[*]}"
}
assert_eq "$(complete_words scorpio um)" umount
assert_eq "$(complete_words scorpio cache ver)" verify
assert_eq "$(complete_words scorpio mount --subd)" --subdir
assert_eq "$(complete_words scorpio -c x.toml lis)" list
touch "$SCRATCH/some-file"
assert_eq "$(complete_words scorpio mount "$SCRATCH/some-")" "$SCRATCH/some-file"
if command -v zsh >/dev/null; then zsh -n "$SCRATCH/c.zsh"; fi
if command -v fish >/dev/null; then fish -n "$SCRATCH/c.fish"; fi
assert_fails "$SCORPIO" completions tcsh
