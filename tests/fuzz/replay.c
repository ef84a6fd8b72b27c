/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - runs one fuzz target over the files and folders given, and over
 * cuts of them (every prefix of a small file, a spread of prefixes of a large
 * one) and single flipped bytes. Prints Check's line of totals.
 */
#include "tests/fuzz/fuzz.h"

#include "core/base.h"

#include <ftw.h>
#include <sys/stat.h>

#define INPUT_MAX (16u << 20)
#define CUTS 256u

static unsigned files, runs;

/* A copy of exactly n bytes, so that sanitizers see reads past the end. */
static void run(const uint8_t *data, size_t n, size_t flip)
{
	uint8_t *copy = xmalloc(n);

	memcpy(copy, data, n);
	if (flip < n)
		copy[flip] ^= (uint8_t)(1u << (flip % 8));
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	runs++;
}

static void run_variants(const uint8_t *data, size_t n)
{
	size_t step = n / CUTS + 1;

	run(data, n, n);
	for (size_t i = 0; i < n; i += step) {
		run(data, i, i);
		run(data, n, i);
	}
}

static int on_file(const char *path, const struct stat *st, int type,
		   struct FTW *ftw)
{
	uint8_t *data;
	size_t n;
	FILE *f;

	(void)ftw;
	if (type != FTW_F || st->st_size > (off_t)INPUT_MAX)
		return 0;
	f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return -1;
	}
	data = xmalloc((size_t)st->st_size);
	n = fread(data, 1, (size_t)st->st_size, f);
	fclose(f);
	run_variants(data, n);
	free(data);
	files++;
	return 0;
}

int main(int argc, char **argv)
{
	run((const uint8_t *)"", 0, 0);
	for (int i = 1; i < argc; i++) {
		if (access(argv[i], F_OK) != 0) {
			printf("no corpus at %s\n", argv[i]);
			continue;
		}
		if (nftw(argv[i], on_file, 16, FTW_PHYS) != 0)
			return 1;
	}
	printf("100%%: Checks: %u, Failures: 0, Errors: 0\n", files + 1);
	printf("%u runs\n", runs);
	return 0;
}
