/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include "answer.h"
#include "http.h"
#include "object.h"
#include "pktline.h"

#define RESULT "application/x-git-upload-pack-result"
#define SMALL_MAX (1u << 20)

/* A line of a list answer without its newline; ERR lines never get here. */
typedef int (*line_fn)(void *ctx, char *line);

struct lines {
	struct gitsource *source;
	struct pktline_reader reader;
	line_fn fn;
	void *ctx;
	bool ended;  /* the flush at the end came */
	bool advert; /* the answer to GET, perhaps of an older protocol */
	bool banner; /* "# service=..." was read, its flush follows */
	char line[4096];
};

static int on_line_packet(void *ctx, enum pktline_kind kind,
			  const uint8_t *data, size_t len)
{
	struct lines *l = ctx;
	char text[256];

	if (kind == PKTLINE_FLUSH && l->banner) {
		l->banner = false;
		return 0;
	}
	if (kind != PKTLINE_DATA) {
		l->ended = true;
		return 0;
	}
	if (l->ended)
		return gitfail(l->source, -EBADMSG, "the server's answer goes "
			       "on after its end");
	if (len > 4 && memcmp(data, "ERR ", 4) == 0) {
		gitanswer_text(text, sizeof(text), data + 4, len - 4);
		return gitfail(l->source, -EIO, "the server says: %s", text);
	}
	if (len >= sizeof(l->line) || memchr(data, 0, len))
		return l->advert ? -EPROTONOSUPPORT :
				   gitfail(l->source, -EBADMSG, "the server "
					   "sent a line that is malformed");
	memcpy(l->line, data, len);
	l->line[len] = 0;
	l->line[strcspn(l->line, "\n")] = 0;
	return l->fn(l->ctx, l->line);
}

static int on_line_data(void *ctx, const void *data, uint64_t n)
{
	struct lines *l = ctx;
	int rc = pktline_feed(&l->reader, data, (size_t)n);

	if (rc == -EBADMSG && l->reader.why)
		return gitfail(l->source, rc, "the server's answer is not "
			       "git's: %s", l->reader.why);
	return rc;
}

static int cut_short(struct gitsource *s)
{
	return gitfail(s, -EIO, "%s: the server's answer is cut short",
		       s->url.text);
}

static int read_lines(struct lines *l, struct githttp *x)
{
	int rc;

	pktline_reader_init(&l->reader, on_line_packet, l);
	x->on_data = on_line_data;
	x->ctx = l;
	rc = githttp_do(l->source, x);
	pktline_reader_done(&l->reader);
	if (rc == 0 && (!l->ended || !pktline_at_boundary(&l->reader)))
		rc = cut_short(l->source);
	return rc;
}

/* -- what the server can do ------------------------------------------------ */

struct discovery {
	struct lines *lines;
	struct gitcaps caps;
	bool version2;
};

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static int on_capability(void *ctx, char *line)
{
	struct discovery *d = ctx;
	struct gitcaps *c = &d->caps;

	if (!d->version2) {
		if (strncmp(line, "# service=", 10) == 0) {
			d->lines->banner = true;
			return 0;
		}
		if (strcmp(line, "version 2") != 0)
			return -EPROTONOSUPPORT;
		d->version2 = true;
		return 0;
	}
	if (strncmp(line, "fetch=", 6) == 0) {
		c->fetch = true;
		c->filter = has_word(line + 6, "filter");
		c->shallow = has_word(line + 6, "shallow");
	} else if (strcmp(line, "fetch") == 0) {
		c->fetch = true;
	} else if (strncmp(line, "ls-refs", 7) == 0) {
		c->ls_refs = true;
	} else if (strncmp(line, "object-format=", 14) == 0) {
		c->sha256 = strcmp(line + 14, "sha1") != 0;
	} else if (strcmp(line, "object-info") == 0) {
		c->object_info = true;
	}
	return 0;
}

int gitproto_discover(struct gitsource *s, struct gitcaps *ret)
{
	struct discovery d = { .lines = NULL };
	struct lines l = { .source = s, .fn = on_capability, .ctx = &d,
			   .advert = true };
	struct githttp x = {
		.service = "/info/refs?service=git-upload-pack",
		.type = "application/x-git-upload-pack-advertisement",
		.max = GITREFS_BYTES_MAX,
	};
	int rc;

	d.lines = &l;
	rc = read_lines(&l, &x);
	if (rc == 0 && !d.version2) /* a banner and nothing else */
		return cut_short(s);
	if (rc < 0)
		return rc;
	*ret = d.caps;
	return 0;
}

/* -- references ------------------------------------------------------------ */

void gitrefs_done(struct gitrefs *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].name);
		free(r->v[i].symref);
	}
	free(r->v);
	memset(r, 0, sizeof(*r));
}

int gitrefs_add(struct gitrefs *r, const struct gitref *ref)
{
	struct gitref *v;

	if (r->n >= GITREFS_MAX)
		return -EFBIG;
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;

		v = realloc(r->v, cap * sizeof(*v));
		if (!v)
			return -ENOMEM;
		r->v = v;
		r->cap = cap;
	}
	v = &r->v[r->n];
	*v = *ref;
	v->name = strdup(ref->name);
	v->symref = ref->symref ? strdup(ref->symref) : NULL;
	if (!v->name || (ref->symref && !v->symref)) {
		free(v->name);
		free(v->symref);
		return -ENOMEM;
	}
	r->n++;
	return 0;
}

struct listing {
	struct gitsource *source;
	struct gitrefs *refs;
};

static int add_ref(struct listing *l, const struct gitref *ref)
{
	int rc = gitrefs_add(l->refs, ref);

	if (rc == -EFBIG)
		return gitfail(l->source, rc, "the server has more than %u "
			       "references", GITREFS_MAX);
	return rc ? gitfail(l->source, rc, "out of memory") : 0;
}

static int on_ref(void *ctx, char *line)
{
	struct listing *l = ctx;
	struct gitref ref = { .name = NULL };
	char *p = strchr(line, ' ');
	bool unborn = strncmp(line, "unborn ", 7) == 0;

	if (!p || (!unborn && (p - line != 2 * (long)GITOBJ_ID ||
			       !githex_decode(line, ref.oid.id))))
		return gitfail(l->source, -EBADMSG,
			       "the server sent a malformed reference");
	ref.name = ++p;
	p += strcspn(p, " ");
	while (*p) {
		char *word = p + 1;

		*p = 0;
		p = word + strcspn(word, " ");
		if (strncmp(word, "symref-target:", 14) == 0)
			ref.symref = word + 14;
		else if (strncmp(word, "peeled:", 7) == 0 &&
			 (size_t)(p - word) >= 7 + 2 * GITOBJ_ID)
			githex_decode(word + 7, ref.peeled.id);
	}
	return add_ref(l, &ref);
}

static void begin_command(struct pktline_buf *b, const char *command)
{
	pktline_add(b, "command=%s", command);
	pktline_add(b, "agent=scorpio/" SCORPIO_VERSION);
	pktline_add(b, "object-format=sha1");
	pktline_mark(b, PKTLINE_DELIM);
}

static struct githttp post(const struct pktline_buf *b)
{
	struct githttp x = {
		.service = "/git-upload-pack",
		.type = RESULT,
		.body = b->data,
		.body_len = b->len,
	};

	return x;
}

int gitproto_refs(struct gitsource *s, const char *const *prefixes, size_t n,
		  struct gitrefs *ret)
{
	struct listing list = { .source = s, .refs = ret };
	struct lines l = { .source = s, .fn = on_ref, .ctx = &list };
	struct pktline_buf b = { 0 };
	struct githttp x;
	int rc;

	begin_command(&b, "ls-refs");
	pktline_add(&b, "peel");
	pktline_add(&b, "symrefs");
	for (size_t i = 0; i < n; i++)
		pktline_add(&b, "ref-prefix %s", prefixes[i]);
	pktline_mark(&b, PKTLINE_FLUSH);
	x = post(&b);
	x.max = GITREFS_BYTES_MAX;
	rc = b.failed ? gitfail(s, -EINVAL, "the name is too long") :
			read_lines(&l, &x);
	pktline_buf_done(&b);
	if (rc == -EFBIG)
		rc = gitfail(s, rc, "the server's list of references is larger "
			     "than 256 MiB");
	return rc;
}

/* -- objects --------------------------------------------------------------- */

int gitproto_refused(struct gitsource *s, struct gitpull *p, const char *text)
{
	static const char not_ours[] = "not our ref ";
	const char *at = strstr(text, not_ours);

	if (at && strlen(at + sizeof(not_ours) - 1) >= GIT_HEX &&
	    githex_decode(at + sizeof(not_ours) - 1, p->missing.id)) {
		p->missing_known = true;
		return gitsource_missing(s, &p->missing);
	}
	if (p->filter && strstr(text, "filter"))
		return gitfail(s, GITPULL_NO_FILTER, "the server says: %s",
			       text);
	return gitfail(s, -EIO, "%s: the server says: %s", s->url.text, text);
}

struct pulling {
	struct gitsource *source;
	struct gitpack *pack;
	struct gitanswer answer;
};

static int on_pack(void *ctx, const void *data, size_t n)
{
	struct pulling *k = ctx;
	int rc = git_check(k->source);

	return rc ? rc : gitpack_write(k->pack, data, n);
}

static int on_answer(void *ctx, const void *data, uint64_t n)
{
	struct pulling *k = ctx;

	return gitanswer_feed(&k->answer, data, (size_t)n);
}

static void build(struct pktline_buf *b, const struct gitpull *p)
{
	char hex[GIT_HEX + 1];

	begin_command(b, "fetch");
	pktline_add(b, "no-progress");
	pktline_add(b, "ofs-delta");
	if (p->deepen)
		pktline_add(b, "deepen %u", p->deepen);
	if (p->filter)
		pktline_add(b, "filter %s", p->filter);
	for (size_t i = 0; i < p->n; i++) {
		git_oid_tostr(hex, sizeof(hex), &p->wants[i]);
		pktline_add(b, "want %s", hex);
	}
	pktline_add(b, "done");
	pktline_mark(b, PKTLINE_FLUSH);
}

/* From the transport's result to the pull's. */
static int conclude(struct pulling *k, struct gitpull *p, int rc)
{
	struct gitanswer *a = &k->answer;
	struct gitsource *s = k->source;

	if (a->refused)
		return gitproto_refused(s, p, a->text);
	if (rc == -EBADMSG && a->why)
		return gitfail(s, rc, "%s: the server's answer is malformed: "
			       "%s", s->url.text, a->why);
	if (rc < 0)
		return rc;
	if (gitanswer_finish(a) < 0)
		return cut_short(s);
	s->host->count(s->host, "pack_bytes", a->pack_bytes);
	return gitpack_finish(k->pack);
}

static int send_pull(struct pulling *k, struct gitpull *p)
{
	struct pktline_buf b = { 0 };
	struct githttp x;
	int rc;

	build(&b, p);
	x = post(&b);
	x.long_answer = true;
	x.max = p->max;
	x.on_data = on_answer;
	x.ctx = k;
	rc = b.failed ? gitfail(k->source, -ENOMEM, "out of memory") :
			githttp_do(k->source, &x);
	pktline_buf_done(&b);
	return rc;
}

int gitproto_pull(struct gitsource *s, struct gitpull *p,
		  struct gitpack **ret)
{
	struct pulling k = { .source = s };
	int rc = gitpack_new(s, &k.pack);

	if (rc < 0)
		return rc;
	p->missing_known = false;
	s->host->count(s->host, "wants", p->n);
	gitanswer_init(&k.answer, on_pack, &k);
	rc = conclude(&k, p, send_pull(&k, p));
	gitanswer_done(&k.answer);
	if (rc < 0)
		gitpack_free(k.pack);
	else
		*ret = k.pack;
	return rc;
}

/* -- sizes ----------------------------------------------------------------- */

struct sizing {
	struct gitsource *source;
	int (*fn)(void *ctx, const git_oid *oid, uint64_t size);
	void *ctx;
	bool headed; /* the line that names the attributes came */
};

static int on_size(void *ctx, char *line)
{
	struct sizing *z = ctx;
	uint64_t size = SCORPIO_SIZE_UNKNOWN;
	git_oid oid;
	char *end;

	if (!z->headed) {
		if (strcmp(line, "size") != 0)
			return gitfail(z->source, -EBADMSG, "the server does "
				       "not answer with sizes");
		z->headed = true;
		return 0;
	}
	if (strlen(line) < GIT_HEX + 1 || line[GIT_HEX] != ' ' ||
	    !githex_decode(line, oid.id))
		return gitfail(z->source, -EBADMSG,
			       "the server sent a malformed size");
	if (line[GIT_HEX + 1]) { /* nothing there: no such object */
		size = strtoull(line + GIT_HEX + 1, &end, 10);
		if (*end || line[GIT_HEX + 1] == '-' ||
		    size > INT64_MAX)
			return gitfail(z->source, -EBADMSG,
				       "the server sent a malformed size");
	}
	return z->fn(z->ctx, &oid, size);
}

int gitproto_sizes(struct gitsource *s, const git_oid *oids, size_t n,
		   int (*fn)(void *ctx, const git_oid *oid, uint64_t size),
		   void *ctx)
{
	struct sizing z = { .source = s, .fn = fn, .ctx = ctx };
	struct lines l = { .source = s, .fn = on_size, .ctx = &z };
	struct pktline_buf b = { 0 };
	char hex[GIT_HEX + 1];
	struct githttp x;
	int rc;

	begin_command(&b, "object-info");
	pktline_add(&b, "size");
	for (size_t i = 0; i < n; i++) {
		git_oid_tostr(hex, sizeof(hex), &oids[i]);
		pktline_add(&b, "oid %s", hex);
	}
	pktline_mark(&b, PKTLINE_FLUSH);
	x = post(&b);
	x.max = (uint64_t)SMALL_MAX + 128 * (uint64_t)n;
	rc = b.failed ? gitfail(s, -ENOMEM, "out of memory") :
			read_lines(&l, &x);
	pktline_buf_done(&b);
	return rc;
}
