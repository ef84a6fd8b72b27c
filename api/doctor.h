/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - checks of the machine and of the daemon: a name, a result, and
 * what to do about it. Any thread; takes milliseconds, never the network.
 */
#ifndef API_DOCTOR_H
#define API_DOCTOR_H

#include "core/config.h"

struct daemon;

enum doctor_result { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_check {
	const char *name;   /* "fuse-device" */
	enum doctor_result result;
	const char *text;   /* what was found */
	const char *advice; /* NULL if ok */
};
typedef void (*doctor_fn)(void *ctx, const struct doctor_check *c);

const char *doctor_word(enum doctor_result r); /* "ok", "warn", "fail" */
/* The machine and the configuration as this process sees them. */
void doctor_machine(const struct config *c, doctor_fn fn, void *ctx);
/* What a running daemon knows about itself. */
void doctor_daemon(struct daemon *d, doctor_fn fn, void *ctx);

#endif
