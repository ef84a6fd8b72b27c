/* SPDX-License-Identifier: Apache-2.0 */
#include "core/call.h"

#include "core/clock.h"
#include "core/error.h"

static __thread struct call *current;

void call_enter(struct call *c, int64_t deadline, const bool *cancel)
{
	c->outer = current;
	c->deadline = MIN(deadline, call_deadline());
	c->cancel = cancel ? cancel : current ? current->cancel : NULL;
	c->heard = current ? current->heard : NULL;
	c->asker = call_asker();
	current = c;
}

void call_leave(struct call *c)
{
	assert(current == c);
	current = c->outer;
}

int64_t call_deadline(void)
{
	return current ? current->deadline : DEADLINE_NONE;
}

static bool given_up(void)
{
	return current && current->cancel &&
	       __atomic_load_n(current->cancel, __ATOMIC_RELAXED);
}

void call_listen(struct call *c, int64_t *heard)
{
	c->heard = heard;
}

void call_asks(struct call *c, uint64_t asker)
{
	c->asker = asker;
}

uint64_t call_asker(void)
{
	return current ? current->asker : 0;
}

void call_progress(void)
{
	if (current && current->heard)
		__atomic_store_n(current->heard, now_ns(), __ATOMIC_RELAXED);
}

bool call_cancelled(void)
{
	return call_check() != 0;
}

int call_check(void)
{
	if (!current)
		return 0;
	if (given_up())
		return fail(-EINTR, "cancelled");
	if (current->deadline != DEADLINE_NONE && now_ns() > current->deadline)
		return fail(-ETIMEDOUT, "the deadline passed");
	return 0;
}
