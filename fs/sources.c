/* SPDX-License-Identifier: Apache-2.0 */
/* sources.c - one open source for all mounts of a URL. */
#include "fs/mount.h"
#include "fs/resized.h"

static void stack_done(struct fs_stack *s)
{
	free(s->url);
	free(s->address);
}

int sources_take(struct fs *f, const char *url, struct source **ret)
{
	struct source_config config;
	struct source_options o = {
		.store = f->options.store,
		.fetch_threads = f->options.fetch_threads,
		.batch_max = f->options.batch_max,
		.offline = f->options.offline,
	};
	struct fs_stack stack __attribute__((cleanup(stack_done))) = { 0 };
	struct source_slot *slot;
	int rc;

	if (f->options.stack)
		f->options.stack(f->options.ctx, url, &stack);
	else
		stack.url = xstrdup(url);
	o.url = stack.url;
	o.address = stack.address;
	o.layers = stack.layers;
	lock_scope(&f->lock);
	for (slot = f->sources; slot; slot = slot->next) {
		if (!strcmp(slot->url, stack.url)) {
			slot->users++;
			*ret = source_get(slot->source);
			return 0;
		}
	}
	if (f->options.config) {
		config = f->options.config(f->options.ctx,
					   stack.address ? stack.address : url);
		o.config = &config;
	}
	slot = xcalloc(1, sizeof(*slot));
	rc = source_open(&o, &slot->source);
	if (rc) {
		free(slot);
		return rc;
	}
	source_on_resized(slot->source, resized_note, f);
	slot->url = steal(&stack.url);
	slot->users = 1;
	slot->next = f->sources;
	f->sources = slot;
	*ret = source_get(slot->source);
	return 0;
}

void sources_release(struct fs *f, struct source *s)
{
	struct source_slot **p, *slot = NULL;

	pthread_mutex_lock(&f->lock);
	for (p = &f->sources; *p && (*p)->source != s;)
		p = &(*p)->next;
	if (*p && !--(*p)->users) {
		slot = *p;
		*p = slot->next;
	}
	pthread_mutex_unlock(&f->lock);
	if (slot)
		source_on_resized(s, NULL, NULL);
	source_put(s);
	if (slot) {
		source_put(slot->source);
		free(slot->url);
		free(slot);
	}
}
