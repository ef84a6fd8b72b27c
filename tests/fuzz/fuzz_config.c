/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a configuration file. What is accepted must survive being shown and
 * read again; what is not must have a problem with a place.
 */
#include "tests/fuzz/fuzz.h"

#include "core/config.h"

static const char *const no_env[] = { NULL };

static void show_and_read_again(const struct config *c)
{
	struct config_options o = { .env = no_env };
	struct buf text = BUF_INIT;
	struct config *again;

	config_show(c, true, &text);
	if (config_parse((char *)text.data, text.len, "shown", &o, &again))
		abort();
	config_put(again);
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf problems = BUF_INIT, warnings = BUF_INIT;
	struct config_options o = { .env = no_env,
				    .problems = &problems,
				    .warnings = &warnings };
	struct config *c = NULL;

	if (config_parse((const char *)data, n, "fuzz", &o, &c)) {
		if (strncmp(buf_str(&problems), "fuzz:", 5))
			abort();
	} else {
		show_and_read_again(c);
		config_put(c);
	}
	buf_done(&problems);
	buf_done(&warnings);
	return 0;
}
