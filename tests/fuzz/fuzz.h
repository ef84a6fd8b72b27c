/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what every fuzz target is. A target is one file tests/fuzz/fuzz_X.c
 * with this function; its corpus is the folder tests/fuzz/corpus/X/.
 *
 * libFuzzer calls it (`make fuzz-run`), and so does replay.c, which the tests
 * link to it instead so that the corpus is replayed without clang.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0. Must not keep state between calls, nor write to the disk. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
