/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - what a plugin or backend instance sees of the daemon. */
#include "core/registry.h"

#include "core/call.h"
#include "core/config.h"
#include "core/error.h"
#include "core/http.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/path.h"
#include "core/spawn.h"

#include <scorpio/version.h>
#include <stdarg.h>

#define SERVICES_MAX 64
#define FACT_NAME_MAX 100
#define FACT_MAX (32 * KiB)

struct scorpio_config {
	const char *(*get)(void *ctx, const char *key);
	void *ctx;
	const char *name; /* for log lines */
};

struct host {
	struct scorpio_host table; /* first: the plugin's pointer is ours */
	struct scorpio_config config;
	char *name, *scratch_parent;
	int (*remember)(void *ctx, const char *name, const void *p, size_t n);
	int64_t (*recall)(void *ctx, const char *name, void *buf, size_t cap);
	bool in_init;
	struct log_site site[LOG_DEBUG + 1];
	pthread_mutex_t m;
	char *scratch; /* lock: m; made at the first call */
	struct counter {
		const char *name;
		struct metric *metric;
		struct counter *next;
	} *counters; /* lock: m for adding; read with acquire */
	struct host *next_scratch; /* lock: scratch_lock */
};

/* Hosts with a scratch directory, so that no two share one. */
static pthread_mutex_t scratch_lock = PTHREAD_MUTEX_INITIALIZER;
static struct host *scratch_owners; /* lock: scratch_lock */

static pthread_mutex_t service_lock = PTHREAD_MUTEX_INITIALIZER;
static struct service {
	char *name;
	const void *table;
	size_t size;
} services[SERVICES_MAX];  /* lock: service_lock until frozen */
static size_t service_count; /* lock: service_lock until frozen */
static bool services_frozen; /* atomic */

static struct host *host_of(const struct scorpio_host *h)
{
	return container_of(h, struct host, table);
}

static enum log_level known_level(uint32_t level)
{
	return level <= LOG_ERROR ? LOG_ERROR :
	       level <= LOG_WARN  ? LOG_WARN :
	       level <= LOG_INFO  ? LOG_INFO :
				    LOG_DEBUG;
}

static void do_log(const struct scorpio_host *h, uint32_t level,
		   const char *fmt, ...) PRINTF(3, 4);
static void do_log(const struct scorpio_host *h, uint32_t level,
		   const char *fmt, ...)
{
	struct host *me = host_of(h);
	enum log_level l = known_level(level);
	cleanup_free char *text = NULL;
	va_list ap;

	if (l > log_level())
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		log_write(&me->site[l], l, me->name, "%s", text);
}

static int do_fail(const struct scorpio_host *h, int code, const char *fmt,
		   ...) PRINTF(3, 4);
static int do_fail(const struct scorpio_host *h UNUSED, int code,
		   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(code, fmt, ap);
	va_end(ap);
	return code;
}

static const char *do_error_text(const struct scorpio_host *h UNUSED, int code)
{
	return error_text(code);
}

static int do_cancelled(const struct scorpio_host *h UNUSED)
{
	return call_cancelled();
}

static const char *do_string(const struct scorpio_config *c, const char *key,
			     const char *dflt)
{
	const char *s = c && c->get ? c->get(c->ctx, key) : NULL;

	return s ? s : dflt;
}

static int64_t do_int(const struct scorpio_config *c, const char *key,
		      int64_t dflt)
{
	const char *s = do_string(c, key, NULL);
	long long v;
	char *end;

	if (!s)
		return dflt;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno || end == s || *end) {
		log_warn("config", "%s: %s = \"%s\" is not a whole number, %lld"
			 " is used", c->name, key, s, (long long)dflt);
		return dflt;
	}
	return v;
}

static int do_bool(const struct scorpio_config *c, const char *key, int dflt)
{
	const char *s = do_string(c, key, NULL);
	bool v;

	if (!s)
		return dflt;
	if (!config_parse_bool(s, &v)) {
		log_warn("config", "%s: %s = \"%s\" is neither true nor false,"
			 " %s is used", c->name, key, s,
			 dflt ? "true" : "false");
		return dflt;
	}
	return v;
}

/* The plugin's struct may be shorter or longer than ours: work on a copy of
 * what both know, give back the answers. */
static int do_http(const struct scorpio_host *h UNUSED, struct scorpio_http *x)
{
	struct scorpio_http mine = { 0 };
	size_t n = MIN((size_t)x->struct_size, sizeof(mine));
	size_t answers = offsetof(struct scorpio_http, status);
	int r;

	if (n < answers)
		return fail(-EINVAL, "http: struct_size is not set");
	if (x->struct_size >= sizeof(mine))
		return http_perform(x); /* its callbacks look at x->status */
	memcpy(&mine, x, n);
	mine.struct_size = sizeof(mine);
	r = http_perform(&mine);
	memcpy((char *)x + answers, (char *)&mine + answers, n - answers);
	return r;
}

static int do_spawn(const struct scorpio_host *h UNUSED,
		    struct scorpio_spawn *x)
{
	struct scorpio_spawn mine = { 0 };
	size_t n = MIN((size_t)x->struct_size, sizeof(mine));
	size_t answers = offsetof(struct scorpio_spawn, exit_status);
	int r;

	if (n < answers)
		return fail(-EINVAL, "spawn: struct_size is not set");
	memcpy(&mine, x, n);
	mine.struct_size = sizeof(mine);
	r = spawn_run_confined(&mine);
	memcpy((char *)x + answers, (char *)&mine + answers, n - answers);
	return r;
}

/* A name that is safe as one path component. */
static char *scratch_name(const char *name, unsigned attempt)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (; *name && b.len < 100; name++) {
		bool ok = (*name >= 'a' && *name <= 'z') ||
			  (*name >= 'A' && *name <= 'Z') ||
			  (*name >= '0' && *name <= '9') || *name == '-';

		buf_putc(&b, ok ? (uint8_t)*name : '_');
	}
	if (!b.len)
		buf_puts(&b, "_");
	if (attempt)
		buf_printf(&b, ".%u", attempt + 1);
	return buf_steal(&b);
}

static bool owned(const char *path)
{
	const struct host *o;

	for (o = scratch_owners; o; o = o->next_scratch)
		if (!strcmp(o->scratch, path))
			return true;
	return false;
}

static char *claim_scratch(struct host *me)
{
	unsigned i;

	lock_scope(&scratch_lock);
	for (i = 0;; i++) {
		cleanup_free char *part = scratch_name(me->name, i);
		char *path = xasprintf("%s/%s", me->scratch_parent, part);

		if (!owned(path)) {
			me->scratch = path;
			me->next_scratch = scratch_owners;
			scratch_owners = me;
			return path;
		}
		free(path);
	}
}

static void release_scratch(struct host *me)
{
	struct host **at;

	if (!me->scratch)
		return;
	path_empty_dir(me->scratch);
	rmdir(me->scratch);
	pthread_mutex_lock(&scratch_lock);
	for (at = &scratch_owners; *at; at = &(*at)->next_scratch)
		if (*at == me) {
			*at = me->next_scratch;
			break;
		}
	pthread_mutex_unlock(&scratch_lock);
	free(steal(&me->scratch));
}

static const char *do_scratch(const struct scorpio_host *h)
{
	struct host *me = host_of(h);
	int r;

	if (!me->scratch_parent) {
		fail(-ENOTSUP, "%s: no scratch directory here", me->name);
		return NULL;
	}
	lock_scope(&me->m);
	if (me->scratch)
		return me->scratch;
	claim_scratch(me);
	r = path_make_dirs(me->scratch, 0700);
	if (!r)
		r = path_empty_dir(me->scratch);
	if (r) {
		cleanup_free char *why = xstrdup(error_text(r));

		release_scratch(me);
		fail(r, "%s", why);
	}
	return me->scratch;
}

static struct metric *find_counter(struct host *me, const char *name)
{
	struct counter *c = __atomic_load_n(&me->counters, __ATOMIC_ACQUIRE);

	for (; c; c = c->next)
		if (c->name == name || !strcmp(c->name, name))
			return c->metric;
	return NULL;
}

static bool counter_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz_");

	return n && !name[n] && n <= 64;
}

static struct metric *add_counter(struct host *me, const char *name)
{
	cleanup_free char *full = xasprintf("scorpio_backend_%s_total", name);
	cleanup_buf struct buf labels = BUF_INIT;
	struct counter *c;
	struct metric *found;

	lock_scope(&me->m);
	found = find_counter(me, name);
	if (found)
		return found;
	metric_label(&labels, "source", me->name);
	c = xcalloc(1, sizeof(*c));
	c->name = name;
	c->metric = metric_get(full, buf_str(&labels), METRIC_COUNTER,
			       "Counted by the backend of this source.");
	c->next = me->counters;
	__atomic_store_n(&me->counters, c, __ATOMIC_RELEASE);
	return c->metric;
}

static void do_count(const struct scorpio_host *h, const char *name,
		     uint64_t n)
{
	struct host *me = host_of(h);
	struct metric *found = find_counter(me, name);

	if (!found && counter_name_ok(name))
		found = add_counter(me, name);
	if (found)
		metric_add(found, (int64_t)n);
}

/* "secrets/1" */
static bool service_name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
	size_t k;

	if (!n || s[n] != '/')
		return false;
	k = strspn(s + n + 1, "0123456789");
	return k && !s[n + 1 + k];
}

static struct service *service_find(const char *name)
{
	size_t i;

	for (i = 0; i < service_count; i++)
		if (!strcmp(services[i].name, name))
			return &services[i];
	return NULL;
}

static int do_provide(const struct scorpio_host *h, const char *name,
		      const void *table, size_t size)
{
	if (!host_of(h)->in_init ||
	    __atomic_load_n(&services_frozen, __ATOMIC_ACQUIRE))
		return fail(-EPERM, "service %s: offered too late; services "
			    "are offered inside init()", name);
	if (!table || !size || !service_name_ok(name))
		return fail(-EINVAL,
			    "service \"%s\": not of the form name/1, or empty",
			    name);
	lock_scope(&service_lock);
	if (service_find(name))
		return fail(-EEXIST, "service %s is already offered", name);
	if (service_count == SERVICES_MAX)
		return fail(-ENOSPC, "service %s: more than %d services", name,
			    SERVICES_MAX);
	services[service_count].name = xstrdup(name);
	services[service_count].table = table;
	services[service_count].size = size;
	service_count++;
	return 0;
}

static const void *do_get(const struct scorpio_host *h UNUSED,
			  const char *name, size_t size)
{
	const struct service *s;
	const void *table;

	if (__atomic_load_n(&services_frozen, __ATOMIC_ACQUIRE)) {
		s = service_find(name); /* never changes any more */
		return s && s->size >= size ? s->table : NULL;
	}
	pthread_mutex_lock(&service_lock);
	s = service_find(name);
	table = s && s->size >= size ? s->table : NULL;
	pthread_mutex_unlock(&service_lock);
	return table;
}

static bool fact_name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789./-");

	return n && !s[n] && n <= FACT_NAME_MAX;
}

static int do_remember(const struct scorpio_host *h, const char *name,
		       const void *p, size_t n)
{
	struct host *me = host_of(h);

	if (!me->remember)
		return fail(-ENOTSUP, "%s: no store to remember in", me->name);
	if (!fact_name_ok(name) || n > FACT_MAX)
		return fail(-EINVAL, "%s: not a small fact: %s", me->name,
			    name);
	return me->remember(me->config.ctx, name, p, n);
}

static int64_t do_recall(const struct scorpio_host *h, const char *name,
			 void *buf, size_t cap)
{
	struct host *me = host_of(h);

	if (!me->recall)
		return fail(-ENOTSUP, "%s: no store to remember in", me->name);
	if (!fact_name_ok(name))
		return -ENOENT;
	return me->recall(me->config.ctx, name, buf, cap);
}

void host_freeze_services(void)
{
	__atomic_store_n(&services_frozen, true, __ATOMIC_RELEASE);
}

static const struct scorpio_host functions = {
	.struct_size = sizeof(struct scorpio_host),
	.abi = SCORPIO_ABI,
	.version = SCORPIO_VERSION,
	.log = do_log,
	.fail = do_fail,
	.cancelled = do_cancelled,
	.config_string = do_string,
	.config_int = do_int,
	.config_bool = do_bool,
	.http = do_http,
	.spawn = do_spawn,
	.scratch = do_scratch,
	.count = do_count,
	.service_provide = do_provide,
	.service_get = do_get,
	.error_text = do_error_text,
	.remember = do_remember,
	.recall = do_recall,
};

struct scorpio_host *host_new(const struct host_options *o)
{
	struct host *me = xcalloc(1, sizeof(*me));

	me->table = functions;
	me->name = xstrdup(o->name);
	me->scratch_parent =
		o->scratch_parent ? xstrdup(o->scratch_parent) : NULL;
	me->in_init = o->in_init;
	me->remember = o->remember;
	me->recall = o->recall;
	me->config.get = o->get;
	me->config.ctx = o->ctx;
	me->config.name = me->name;
	pthread_mutex_init(&me->m, NULL);
	return &me->table;
}

const struct scorpio_config *host_config(const struct scorpio_host *h)
{
	return &host_of(h)->config;
}

void host_free(struct scorpio_host *h)
{
	struct host *me;
	struct counter *c;

	if (!h)
		return;
	me = host_of(h);
	release_scratch(me);
	while ((c = me->counters)) {
		me->counters = c->next;
		free(c);
	}
	pthread_mutex_destroy(&me->m);
	free(me->scratch_parent);
	free(me->name);
	free(me);
}
