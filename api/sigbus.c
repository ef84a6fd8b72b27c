/* SPDX-License-Identifier: Apache-2.0 */
#include "api/sigbus.h"

#include "core/base.h"

#include <signal.h>

static char words[1024]; /* written before the handler is there */
static size_t words_len;

/* The action is the default again: on return the access is repeated, and ends
 * the process. */
static void on_sigbus(int sig UNUSED)
{
	ssize_t n = write(STDERR_FILENO, words, words_len);

	(void)n;
}

void sigbus_explain(const char *store_path)
{
	struct sigaction a = { .sa_handler = on_sigbus,
			       .sa_flags = SA_RESETHAND };

	snprintf(words, sizeof(words),
		 "scorpio: the daemon cannot go on\n"
		 "  why: a file that it reads in place, most likely "
		 "%.600s/data.mdb, cannot be read: its disk fails, or the file "
		 "was made shorter\n"
		 "  try: start it again; dmesg tells of a failing disk; "
		 "data.mdb holds only copies, it may be deleted while no "
		 "daemon runs\n", store_path);
	words_len = strlen(words);
	sigaction(SIGBUS, &a, NULL);
}
