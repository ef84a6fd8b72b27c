/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"

void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

int cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline)
{
	struct timespec t;

	if (deadline == DEADLINE_NONE) {
		pthread_cond_wait(c, m);
		return 0;
	}
	t = ns_to_timespec(deadline);
	return pthread_cond_timedwait(c, m, &t) == ETIMEDOUT ? -ETIMEDOUT : 0;
}
