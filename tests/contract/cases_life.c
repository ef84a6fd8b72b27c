/* SPDX-License-Identifier: Apache-2.0 */
/* The table, open and close, resolve. */
#include "core/base.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "tests/contract/suite.h"

#define OPEN_MS 100.0

static void table_schemes(struct suite *s)
{
	const char *p = s->ops->schemes;

	if (!p)
		case_skip(s, "it is found by its name only");
	require(s, *p && *p != ' ', "schemes is empty or begins with a space");
	for (; *p; p++)
		require(s,
			strchr("abcdefghijklmnopqrstuvwxyz0123456789+.- ", *p),
			"schemes holds the character 0x%02x", (uint8_t)*p);
}

static void table_values(struct suite *s)
{
	uint32_t known = SCORPIO_BACKEND_LAYER | SCORPIO_BACKEND_VERIFIES |
			 SCORPIO_BACKEND_NEEDS_PATH |
			 SCORPIO_BACKEND_DIRECTORY |
			 SCORPIO_BACKEND_WORKSPACE;

	require(s, !(s->ops->flags & ~known), "unknown flags: 0x%x",
		s->ops->flags & ~known);
	require(s, !(s->ops->flags & SCORPIO_BACKEND_LAYER),
		"it is a layer: check it on top of a source of its own build");
	require(s, s->ops->reserved == 0, "reserved is not 0");
	if (s->ops->summary)
		require(s, !strchr(s->ops->summary, '\n'),
			"summary is more than one line");
}

static void open_quick(struct suite *s)
{
	int64_t begin = now_ns();
	double ms;

	suite_need_open(s);
	ms = suite_ms(begin);
	require(s, ms <= OPEN_MS * s->slow, "open took %.0f ms", ms);
}

static void open_offline(struct suite *s)
{
	unsigned before = suite_fds(true);

	suite_need_open(s);
	require(s, suite_fds(true) == before, "open made a network socket");
}

static void open_info(struct suite *s)
{
	uint32_t known = SCORPIO_INSTANCE_LOCAL | SCORPIO_INSTANCE_SIZES_FREE |
			 SCORPIO_INSTANCE_OPEN_ROOT |
			 SCORPIO_INSTANCE_OWNER_ROOT;

	suite_need_open(s);
	require(s, !(s->info.flags & ~known), "unknown instance flags: 0x%x",
		s->info.flags & ~known);
	require(s, s->info.batch_max <= 1000000, "batch_max is %u",
		s->info.batch_max);
	if (s->info.id_space)
		require(s, *s->info.id_space && strlen(s->info.id_space) < 256,
			"id_space is empty or longer than 255 bytes");
}

static void open_close_many(struct suite *s)
{
	struct scorpio_instance info;
	unsigned before, i;
	void *self;
	int r;

	suite_need_open(s); /* what is made once, is made */
	before = suite_fds(false);
	for (i = 0; i < 20; i++) {
		r = suite_open(s, s->url, &info, &self);
		require(s, !r, "open number %u failed: %s", i + 2,
			error_text(r));
		s->ops->close(self);
	}
	require(s, suite_fds(false) <= before,
		"20 times open and close left %u open files behind",
		suite_fds(false) - before);
}

static void open_failure(struct suite *s)
{
	unsigned before = suite_fds(false), i;
	cleanup_free char *bare = xasprintf("%s+", s->ops->name);
	cleanup_free char *odd = xasprintf("%s+\x01\xff ? #", s->ops->name);
	const char *urls[] = { bare, odd, "", "+", "x" };
	struct scorpio_instance info;
	void *self;
	int r;

	for (i = 0; i < ARRAY_SIZE(urls); i++) {
		self = NULL;
		r = suite_open(s, urls[i], &info, &self);
		require(s, r <= 0, "open(\"%s\") returned %d", urls[i], r);
		if (!r)
			s->ops->close(self);
	}
	require(s, suite_fds(false) <= before,
		"open of wrong addresses left open files behind");
}

static void close_null(struct suite *s)
{
	s->ops->close(NULL);
}

static void open_twice(struct suite *s)
{
	struct scorpio_revision rev;
	struct scorpio_instance info;
	void *second;
	int r, r2;

	suite_need_root(s);
	r = suite_open(s, s->url, &info, &second);
	require(s, !r, "a second open failed: %s", error_text(r));
	r = s->ops->resolve(second, s->rev, &rev);
	s->ops->close(second);
	require(s, !r, "resolve of a second instance failed: %s",
		error_text(r));
	r2 = s->ops->resolve(s->self, s->rev, &rev);
	require(s, !r2, "after closing another instance, resolve failed: %s",
		error_text(r2));
}

static void id_space_stable(struct suite *s)
{
	struct scorpio_instance info;
	cleanup_free char *first = NULL;
	const char *now;
	void *self;
	int r;

	suite_need_open(s);
	first = xstrdup(s->info.id_space ? s->info.id_space : s->ops->name);
	r = suite_open(s, s->url, &info, &self);
	require(s, !r, "a second open failed: %s", error_text(r));
	now = info.id_space ? info.id_space : s->ops->name;
	r = strcmp(first, now);
	s->ops->close(self);
	require(s, !r, "two instances of one URL have different id spaces");
}

static void resolve_answer(struct suite *s)
{
	struct scorpio_revision rev;
	int r;

	suite_need_open(s);
	memset(&rev, 0xee, sizeof(rev)); /* all of it must be filled in */
	r = s->ops->resolve(s->self, s->rev, &rev);
	require(s, !r, "resolve(\"%s\") failed: %s", s->rev, error_text(r));
	require(s, id_is_sane(&rev.root),
		"root has a bad id (length, or bytes behind it not zero)");
	require(s, memchr(rev.text, 0, sizeof(rev.text)) && rev.text[0],
		"text is empty or has no end");
	require(s, memchr(rev.label, 0, sizeof(rev.label)), "label has no end");
	require(s,
		rev.kind == SCORPIO_DIR || rev.kind == SCORPIO_FILE ||
			rev.kind == SCORPIO_SYMLINK,
		"kind is %u: of what kind is the root?", rev.kind);
}

#define ABI_RESOLVE_AGAIN (1u << 16 | 4) /* the rule came with 1.4 */

static void resolve_again(struct suite *s)
{
	struct scorpio_revision rev, same;
	int r;

	if (s->ops->abi < ABI_RESOLVE_AGAIN)
		case_skip(s, "its ABI is older than the rule");
	suite_need_open(s);
	r = s->ops->resolve(s->self, s->rev, &rev);
	require(s, !r, "resolve(\"%s\") failed: %s", s->rev, error_text(r));
	r = s->ops->resolve(s->self, rev.text, &same);
	require(s, !r, "resolve(\"%s\"), the text of an answer, failed: %s",
		rev.text, error_text(r));
	require(s, !memcmp(&rev.root, &same.root, sizeof(rev.root)),
		"resolve(\"%s\"), the text of an answer, gives another root",
		rev.text);
}

static void resolve_unknown(struct suite *s)
{
	struct scorpio_revision rev;
	int r;

	suite_need_root(s);
	r = s->ops->resolve(s->self, "no-such-revision-4711", &rev);
	require(s, r == -ENOENT,
		"an unknown revision gave %d (%s), not "
		"-ENOENT",
		r, r ? error_text(r) : "success");
}

static void resolve_odd(struct suite *s)
{
	static const char *const specs[] = {
		"../..", "-x",   "--help",    "a\nb",  "\xff\xfe",
		"$(id)", "%s%n", "refs/../x", "a b",   "/",
		"\\",    ":",    "^",         "@{-1}", "~",
	};
	struct scorpio_revision rev;
	size_t i;
	int r;

	suite_need_root(s);
	for (i = 0; i < ARRAY_SIZE(specs); i++) {
		r = s->ops->resolve(s->self, specs[i], &rev);
		require(s, r <= 0, "resolve(\"%s\") returned %d", specs[i], r);
		if (!r)
			require(s, id_is_sane(&rev.root),
				"resolve(\"%s\") succeeded with a bad id",
				specs[i]);
	}
}

static void resolve_long(struct suite *s)
{
	cleanup_free char *spec = xmalloc(8001);
	struct scorpio_revision rev;
	int r;

	suite_need_root(s);
	memset(spec, 'x', 8000);
	spec[8000] = '\0';
	r = s->ops->resolve(s->self, spec, &rev);
	require(s, r < 0, "a revision of 8000 characters gave %d", r);
}

static void resolve_cancelled(struct suite *s)
{
	struct scorpio_revision rev;
	int64_t begin = now_ns();
	bool cancel = true;
	struct call call;
	double ms;
	int r;

	suite_need_open(s);
	call_enter(&call, now_ns() + CALL_S * NS_PER_S, &cancel);
	r = s->ops->resolve(s->self, s->rev, &rev);
	call_leave(&call);
	ms = suite_ms(begin);
	require(s, r <= 0, "it returned %d", r);
	require(s, r != -ENOENT,
		"a cancelled resolve says that the revision does not exist");
	require(s, ms < 2000 * s->slow, "it took %.0f ms to notice", ms);
}

const struct contract_case cases_life[] = {
	{ "table-schemes", "schemes: URL schemes it takes, space-separated",
	  table_schemes },
	{ "table-values", "the table holds known flags and plain texts",
	  table_values },
	{ "open-quick", "open must answer within 100 ms", open_quick },
	{ "open-offline", "open must not do network traffic", open_offline },
	{ "open-info", "open fills *info", open_info },
	{ "open-close-many", "close releases what open took", open_close_many },
	{ "open-failure", "on failure nothing is left behind", open_failure },
	{ "open-twice", "instances do not depend on each other", open_twice },
	{ "open-id-space", "equal URLs share their objects", id_space_stable },
	{ "close-null", "close must accept NULL", close_null },
	{ "resolve-answer", "resolve gives an immutable state",
	  resolve_answer },
	{ "resolve-again",
	  "the text of an answer gives the same state", resolve_again },
	{ "resolve-unknown",
	  "resolve must answer -ENOENT for what does not exist",
	  resolve_unknown },
	{ "resolve-odd", "any text may be asked for", resolve_odd },
	{ "resolve-long", "any text may be asked for, long ones too",
	  resolve_long },
	{ "resolve-cancelled",
	  "resolve must not say -ENOENT when it could not ask",
	  resolve_cancelled },
	{ 0 },
};
