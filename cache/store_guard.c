/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged page has LMDB fail an assertion, read where the file has nothing
 * (SIGBUS), or write into its map because the page says that it is a copy
 * (SIGSEGV), and each ends the process. Whoever reads holds nothing that would be
 * left behind, so the thread goes back to where it entered the store, and what it
 * asked for is not here. The writer leaves an environment behind that must not be
 * used again: it is never closed, and the file is replaced.
 *
 * Not for any other SIGSEGV: what was written before it nobody knows.
 */
#include "cache/store_impl.h"

static __thread struct store_guard *inside;

void store_guard_push(struct store_guard *g)
{
	g->outer = inside;
	inside = g;
}

void store_guard_pop(const struct store_guard *g)
{
	inside = g->outer;
}

bool store_guard_is_on(void)
{
	return inside;
}

struct store_guard *store_guard_off(void)
{
	return steal(&inside);
}

void store_guard_on(struct store_guard *g)
{
	inside = g;
}

void store_escape(void)
{
	struct store_guard *g = inside;

	if (!g)
		return;
	inside = g->outer;
	siglongjmp(g->at, 1);
}

/* LMDB's assertions: it aborts when this returns. */
void store_assertion(MDB_env *env UNUSED, const char *text)
{
	store_escape();
	fprintf(stderr, "scorpio: LMDB: %s\n", text);
	abort();
}
