/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login.h - for plugins that log in somewhere: secrets that are wiped, tokens in
 * files, and git's credential helpers. Everything is inline, over the host's
 * table: nothing of the daemon is linked. Any thread.
 */
#ifndef SCORPIO_LOGIN_H
#define SCORPIO_LOGIN_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <scorpio/host.h>

#define SCORPIO_TOKEN_MAX 4096u
#define SCORPIO_HELPER_MS 30000u

/* Overwrite memory, also where a compiler sees no use of it. */
static inline void scorpio_wipe(void *p, size_t n)
{
	volatile unsigned char *at = (volatile unsigned char *)p;

	while (n--)
		*at++ = 0;
}

/* Wipe, free and forget a text; *p may be NULL. */
static inline void scorpio_secret_done(char **p)
{
	if (*p)
		scorpio_wipe(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

/* A copy of n bytes as text; NULL without memory. */
static inline char *scorpio_secret_n(const char *s, size_t n)
{
	char *copy = (char *)malloc(n + 1);

	if (copy) {
		memcpy(copy, s, n);
		copy[n] = 0;
	}
	return copy;
}

/* Of NULL and of an empty text: NULL. */
static inline char *scorpio_secret(const char *s)
{
	return s && *s ? scorpio_secret_n(s, strlen(s)) : NULL;
}

/* May it stand in a header? NULL may. */
static inline int scorpio_one_line(const char *s)
{
	return !s || !strpbrk(s, "\r\n");
}

/* The first line of a file into *ret, which the caller wipes and frees. -EACCES
 * with a text if there is none. */
static inline int scorpio_token_file(const struct scorpio_host *h,
				     const char *path, char **ret)
{
	char buf[SCORPIO_TOKEN_MAX + 1];
	FILE *f = fopen(path, "re");
	size_t n = 0;

	errno = f ? 0 : errno;
	if (f) {
		setvbuf(f, NULL, _IONBF, 0);
		n = fread(buf, 1, SCORPIO_TOKEN_MAX, f);
	}
	if (!f || ferror(f)) {
		int saved = errno;

		if (f)
			fclose(f);
		return h->fail(h, -EACCES, "token_file %s: %s", path,
			       strerror(saved));
	}
	fclose(f);
	buf[n] = 0;
	buf[strcspn(buf, "\r\n")] = 0;
	*ret = scorpio_secret(buf);
	scorpio_wipe(buf, sizeof(buf));
	return *ret ? 0 : h->fail(h, -EACCES, "token_file %s is empty", path);
}

/* -- git credential ----------------------------------------------------------- */

/* What a helper said: lines "key=value". Wipe it when done. */
struct scorpio_answer {
	char text[8192];
	size_t len;
};

static inline int scorpio_answer_take(void *ctx, const void *p, uint64_t n)
{
	struct scorpio_answer *a = (struct scorpio_answer *)ctx;

	if (n > sizeof(a->text) - 1 - a->len)
		return -EFBIG;
	memcpy(a->text + a->len, p, (size_t)n);
	a->len += (size_t)n;
	a->text[a->len] = 0;
	return 0;
}

/* A copy for the caller to wipe and free, or NULL. */
static inline char *scorpio_answer_value(const struct scorpio_answer *a,
					 const char *key)
{
	size_t k = strlen(key);
	const char *p = a->text;

	while (*p) {
		size_t n = strcspn(p, "\n");

		if (n > k && !memcmp(p, key, k) && p[k] == '=')
			return scorpio_secret_n(p + k + 1, n - k - 1);
		p += n + (p[n] == '\n');
	}
	return NULL;
}

/* Run `git credential fill` (or approve, reject) with `input`, its lines, as
 * git-credential(1) describes them. Asks nobody: no terminal, no window.
 * Blocking, at most SCORPIO_HELPER_MS. -EACCES if git says no. */
static inline int scorpio_git_credential(const struct scorpio_host *h,
					 const char *verb, const char *input,
					 struct scorpio_answer *out)
{
	static const char *const env[] = { "GIT_TERMINAL_PROMPT=0",
					   "GIT_ASKPASS=", "SSH_ASKPASS=",
					   "GCM_INTERACTIVE=never", NULL };
	const char *argv[4];
	struct scorpio_spawn x;
	int rc;

	argv[0] = "git";
	argv[1] = "credential";
	argv[2] = verb;
	argv[3] = NULL;
	memset(&x, 0, sizeof(x));
	memset(out, 0, sizeof(*out));
	x.struct_size = sizeof(x);
	x.argv = argv;
	x.env = env;
	x.input = input;
	x.input_len = strlen(input);
	x.on_output = scorpio_answer_take;
	x.ctx = out;
	x.timeout_ms = SCORPIO_HELPER_MS;
	rc = h->spawn(h, &x);
	return rc ? rc : x.exit_status ? -EACCES : 0;
}

#endif
