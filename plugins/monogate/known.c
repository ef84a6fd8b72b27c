/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known.c - revisions as they were told last. What a commit's id means never
 * changes, so it is asked once; what a name means is asked each time, and while
 * nobody can answer, the last answer stands: what was served before the source
 * went away is served on.
 */
#include "gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 256u
#define WORDS 16u

struct gate_known {
	pthread_mutex_t lock;
	struct {
		char refs[256];
		struct scorpio_revision rev;
	} at[SLOTS];	/* lock */
	unsigned next;	/* lock: the slot to use */
	bool away;	/* lock: it has been said that the source is away */
	struct {
		char *commit, *words; /* owned */
	} said[WORDS];		/* lock */
	unsigned next_said;	/* lock */
};

int gate_known_new(struct gate *g)
{
	g->known = calloc(1, sizeof(*g->known));
	if (!g->known)
		return -ENOMEM;
	pthread_mutex_init(&g->known->lock, NULL);
	return 0;
}

void gate_known_free(struct gate *g)
{
	if (!g->known)
		return;
	for (unsigned i = 0; i < WORDS; i++) {
		free(g->known->said[i].commit);
		free(g->known->said[i].words);
	}
	pthread_mutex_destroy(&g->known->lock);
	free(g->known);
	g->known = NULL;
}

/* With the lock held: its slot, or SLOTS. */
static unsigned slot_of(const struct gate_known *k, const char *refs)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		if (k->at[i].rev.root.len && !strcmp(k->at[i].refs, refs))
			break;
	return i;
}

static bool look(struct gate_known *k, const char *refs,
		 struct scorpio_revision *ret)
{
	unsigned i;

	pthread_mutex_lock(&k->lock);
	i = slot_of(k, refs);
	if (i < SLOTS)
		*ret = k->at[i].rev;
	pthread_mutex_unlock(&k->lock);
	return i < SLOTS;
}

static void keep(struct gate_known *k, const char *refs,
		 const struct scorpio_revision *rev)
{
	unsigned i;

	if (strlen(refs) >= sizeof(k->at[0].refs))
		return;
	pthread_mutex_lock(&k->lock);
	i = slot_of(k, refs);
	if (i == SLOTS) {
		i = k->next;
		k->next = (i + 1) % SLOTS;
	}
	snprintf(k->at[i].refs, sizeof(k->at[i].refs), "%s", refs);
	k->at[i].rev = *rev;
	pthread_mutex_unlock(&k->lock);
}

char *gate_known_words(struct gate *g, const char *commit)
{
	struct gate_known *k = g->known;
	char *words = NULL;

	pthread_mutex_lock(&k->lock);
	for (unsigned i = 0; i < WORDS && !words; i++)
		if (k->said[i].commit && !strcmp(k->said[i].commit, commit))
			words = strdup(k->said[i].words);
	pthread_mutex_unlock(&k->lock);
	return words;
}

void gate_known_keep_words(struct gate *g, const char *commit,
			   const char *words)
{
	struct gate_known *k = g->known;
	char *name = strdup(commit), *text = strdup(words);

	pthread_mutex_lock(&k->lock);
	if (name && text) {
		unsigned i = k->next_said++ % WORDS;
		char *old = k->said[i].commit;

		k->said[i].commit = name;
		name = old;
		old = k->said[i].words;
		k->said[i].words = text;
		text = old;
	}
	pthread_mutex_unlock(&k->lock);
	free(name);
	free(text);
}

/* Once each time that it goes or comes back. */
static void tell(struct gate *g, bool away, int rc)
{
	bool news;

	pthread_mutex_lock(&g->known->lock);
	news = g->known->away != away;
	g->known->away = away;
	pthread_mutex_unlock(&g->known->lock);
	if (news && away)
		g->host->log(g->host, SCORPIO_LOG_WARN, "%s cannot be asked "
			     "(%s): what was told last is served on",
			     g->sources->shown(g->source),
			     g->host->error_text(g->host, rc));
	else if (news)
		g->host->log(g->host, SCORPIO_LOG_INFO, "%s answers again",
			     g->sources->shown(g->source));
}

int gate_resolve(struct gate *g, const char *refs,
		 struct scorpio_revision *ret)
{
	struct scorpio_id id;
	bool main = !*refs || strcmp(refs, "main") == 0;
	int rc;

	if (main)
		refs = "";
	if (gate_unhex(refs, &id) && look(g->known, refs, ret))
		return 0;
	rc = g->sources->resolve(g->source, refs, GATE_TIMEOUT_MS, ret);
	if (rc == 0) {
		keep(g->known, refs, ret);
		keep(g->known, ret->text, ret);
		tell(g, false, 0);
		return 0;
	}
	if ((rc != -EIO && rc != -ETIMEDOUT && rc != -EAGAIN) ||
	    !look(g->known, refs, ret))
		return rc;
	tell(g, true, rc);
	return 0;
}
