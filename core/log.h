/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - lines on stderr (and optionally a file): logfmt or JSON.
 *
 * Logging happens once, at a boundary: source.c (failed backend calls), ops.c
 * (what the user will notice), main. Nothing else logs above debug. Lines are
 * rate limited per call site so that a dead server cannot fill a disk. URLs
 * are passed through log_redact first: no credentials, no tokens. Any thread.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/base.h"

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

struct log_site { /* one per call site; state of the rate limit */
	uint64_t window; /* atomic: second the count belongs to */
	uint32_t count;  /* atomic: lines in this second */
};

/* level from text: "error|warn|info|debug" or an env_logger directive such as
 * "info,scorpio=debug" (the strongest level named wins). False: not understood,
 * nothing changed. */
bool log_set_level(const char *text);
enum log_level log_level(void);
void log_set_json(bool json);
/* Also write to this file (appended, 0600). NULL stops. 0 or negative errno. */
int log_set_file(const char *path);
/* The last lines, newest last, for bugreport and the API. Caller frees. */
char *log_recent(size_t max_lines);

void log_write(struct log_site *site, enum log_level level, const char *area,
	       const char *fmt, ...) PRINTF(4, 5);

#define log_at(level, area, ...)                                               \
	do {                                                                   \
		static struct log_site site_;                                  \
		if ((level) <= log_level())                                    \
			log_write(&site_, (level), (area), __VA_ARGS__);       \
	} while (0)
#define log_error(area, ...) log_at(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...) log_at(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...) log_at(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_at(LOG_DEBUG, area, __VA_ARGS__)

/* Copy a URL without user, password, query values. Returns buf. */
const char *log_redact(const char *url, char *buf, size_t cap);

#endif
