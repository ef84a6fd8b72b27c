/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/json.h"

#include <fcntl.h>
#include <stdarg.h>

#define LINES_PER_SECOND 20 /* of one call site */
#define LINE_MAX_BYTES 2000
#define RECENT_LINES 512

static int level_now = LOG_INFO; /* atomic */
static bool as_json;             /* atomic */

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static int file_fd = -1;           /* lock: m */
static char *recent[RECENT_LINES]; /* lock: m; ring */
static size_t recent_next;         /* lock: m; lines ever written */

static const struct {
	const char *word;
	enum log_level level;
} words[] = {
	{ "error", LOG_ERROR }, { "warn", LOG_WARN },   { "warning", LOG_WARN },
	{ "info", LOG_INFO },   { "debug", LOG_DEBUG }, { "trace", LOG_DEBUG },
	{ "off", LOG_ERROR },
};

static int word_level(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i].word) == n &&
		    !strncasecmp(words[i].word, p, n))
			return words[i].level;
	return -1;
}

/* "level" or "target=level" */
static int directive_level(const char *p, size_t n)
{
	const char *eq = memchr(p, '=', n);

	if (eq)
		return word_level(eq + 1, (size_t)(p + n - eq - 1));
	return word_level(p, n);
}

bool log_set_level(const char *text)
{
	int best = -1;

	while (*text) {
		size_t n = strcspn(text, ", ");

		if (n) {
			int level = directive_level(text, n);

			if (level < 0)
				return false;
			best = MAX(best, level);
		}
		text += n;
		text += strspn(text, ", ");
	}
	if (best < 0)
		return false;
	__atomic_store_n(&level_now, best, __ATOMIC_RELAXED);
	return true;
}

enum log_level log_level(void)
{
	return (enum log_level)__atomic_load_n(&level_now, __ATOMIC_RELAXED);
}

void log_set_json(bool json)
{
	__atomic_store_n(&as_json, json, __ATOMIC_RELAXED);
}

int log_set_file(const char *path)
{
	int fd = -1, old;

	if (path) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
			  0600);
		if (fd < 0)
			return -errno;
	}
	pthread_mutex_lock(&m);
	old = file_fd;
	file_fd = fd;
	pthread_mutex_unlock(&m);
	if (old >= 0)
		close(old);
	return 0;
}

char *log_recent(size_t max_lines)
{
	struct buf b = BUF_INIT;
	size_t i, n;

	lock_scope(&m);
	n = MIN(MIN(max_lines, recent_next), (size_t)RECENT_LINES);
	for (i = recent_next - n; i < recent_next; i++)
		buf_puts(&b, recent[i % RECENT_LINES]);
	return buf_steal(&b);
}

/* True if this line may pass; *skipped = lines dropped in an earlier second. */
static bool pass(struct log_site *s, uint32_t *skipped)
{
	uint64_t now = (uint64_t)(now_ns() / NS_PER_S) + 1;
	uint64_t window = __atomic_load_n(&s->window, __ATOMIC_RELAXED);
	uint32_t count;

	*skipped = 0;
	if (window != now &&
	    __atomic_compare_exchange_n(&s->window, &window, now, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		count = __atomic_exchange_n(&s->count, 0, __ATOMIC_RELAXED);
		if (count > LINES_PER_SECOND)
			*skipped = count - LINES_PER_SECOND;
	}
	count = __atomic_fetch_add(&s->count, 1, __ATOMIC_RELAXED);
	return count < LINES_PER_SECOND;
}

static const char *level_word(enum log_level l)
{
	return l == LOG_ERROR ? "error" :
	       l == LOG_WARN  ? "warn" :
	       l == LOG_INFO  ? "info" :
				"debug";
}

static void put_time(struct buf *b)
{
	int64_t now = wall_ns();
	time_t s = now / NS_PER_S;
	struct tm tm;
	char text[32];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(b, "%s.%03dZ", text, (int)(now / NS_PER_MS % 1000));
}

/* Printable, valid UTF-8, quotes and backslashes escaped: safe in logfmt and
 * JSON alike, and no terminal escapes. */
static void put_escaped(struct buf *b, const char *s)
{
	size_t n = strlen(s), i, ok;

	for (i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c == '\n')
			buf_puts(b, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else if (c < 0x80)
			buf_putc(b, c);
		else if ((ok = utf8_char(s + i, n - i))) {
			buf_put(b, s + i, ok);
			i += ok - 1;
		} else
			buf_puts(b, "\xef\xbf\xbd"); /* U+FFFD */
	}
}

static void format(struct buf *b, enum log_level level, const char *area,
		   const char *text, uint32_t skipped)
{
	bool json = __atomic_load_n(&as_json, __ATOMIC_RELAXED);

	buf_puts(b, json ? "{\"ts\":\"" : "ts=");
	put_time(b);
	buf_printf(b, json ? "\",\"level\":\"%s\",\"area\":\"" :
			     " level=%s area=", level_word(level));
	put_escaped(b, area);
	buf_puts(b, json ? "\",\"msg\":\"" : " msg=\"");
	put_escaped(b, text);
	buf_putc(b, '"');
	if (skipped)
		buf_printf(b, json ? ",\"suppressed\":%u" : " suppressed=%u",
			   skipped);
	buf_puts(b, json ? "}\n" : "\n");
}

static void keep(struct buf *b)
{
	char **slot = &recent[recent_next++ % RECENT_LINES];

	free(*slot);
	*slot = xstrdup(buf_str(b));
}

/* systemd reads "<N>" as the priority when stderr is its journal. */
static bool to_journal(void)
{
	static int known; /* atomic; 0 not asked, 1 no, 2 yes */
	int k = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!k) {
		k = getenv("JOURNAL_STREAM") ? 2 : 1;
		__atomic_store_n(&known, k, __ATOMIC_RELAXED);
	}
	return k == 2;
}

static void emit(int fd, const char *p, size_t n)
{
	ssize_t k = write(fd, p, n); /* one write: lines do not mix */

	(void)k; /* nowhere to report it */
}

void log_write(struct log_site *site, enum log_level level, const char *area,
	       const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	char text[LINE_MAX_BYTES];
	uint32_t skipped = 0;
	int saved = errno;
	va_list ap;

	if (site && !pass(site, &skipped))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (to_journal())
		buf_printf(&b, "<%d>", (int)level);
	format(&b, level, area, text, skipped);
	pthread_mutex_lock(&m);
	emit(STDERR_FILENO, (char *)b.data, b.len);
	if (file_fd >= 0)
		emit(file_fd, (char *)b.data, b.len);
	keep(&b);
	pthread_mutex_unlock(&m);
	errno = saved;
}

static void add(char *buf, size_t cap, size_t *len, const char *p, size_t n)
{
	n = MIN(n, cap - 1 - *len);
	memcpy(buf + *len, p, n);
	*len += n;
	buf[*len] = '\0';
}

/* "a=1&b" -> "a=***&b" */
static void add_query(char *buf, size_t cap, size_t *len, const char *p)
{
	while (*p && *p != '#') {
		size_t n = strcspn(p, "&#"), name = strcspn(p, "=&#");

		add(buf, cap, len, p, name);
		if (name < n)
			add(buf, cap, len, "=***", 4);
		if (p[n] == '&')
			add(buf, cap, len, "&", 1), n++;
		p += n;
	}
}

const char *log_redact(const char *url, char *buf, size_t cap)
{
	const char *host = strstr(url, "://");
	const char *end, *at = NULL, *p;
	size_t len = 0;

	buf[0] = '\0';
	host = host ? host + 3 : url;
	end = host + strcspn(host, "/?#");
	for (p = host; p < end; p++) /* the last '@' ends the user part */
		if (*p == '@')
			at = p;
	add(buf, cap, &len, url, (size_t)(host - url));
	if (at && (host != url || memchr(host, ':', (size_t)(at - host))))
		host = at + 1;
	p = host + strcspn(host, "?#");
	add(buf, cap, &len, host, (size_t)(p - host));
	if (*p == '?') {
		add(buf, cap, &len, "?", 1);
		add_query(buf, cap, &len, p + 1);
	}
	return buf;
}
