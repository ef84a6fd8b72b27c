/* SPDX-License-Identifier: Apache-2.0 */
#include "api/sigbus.h"

#include "core/base.h"

#include "cache/store.h"

#include <signal.h>

static char words[1024]; /* written before the handler is there */
static size_t words_len;

/* With the default action again the access is repeated on return, and ends the
 * process. */
static void on_sigbus(int sig, siginfo_t *info, void *context UNUSED)
{
	ssize_t n;

	if (info->si_code > 0) /* else sent by somebody: who knows in what */
		store_escape();
	signal(sig, SIG_DFL);
	n = write(STDERR_FILENO, words, words_len);
	(void)n;
	store_bus_note(info->si_addr);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void on_sigsegv(int sig, siginfo_t *info, void *context UNUSED)
{
	if (store_bus_inside(info->si_addr))
		store_escape();
	signal(sig, SIG_DFL);
}
#endif

void sigbus_explain(const char *store_path)
{
	struct sigaction a = { .sa_sigaction = on_sigbus,
			       .sa_flags = SA_NODEFER | SA_SIGINFO };

	snprintf(words, sizeof(words),
		 "scorpio: the daemon cannot go on\n"
		 "  why: a file that it reads in place, most likely "
		 "%.600s/data.mdb, cannot be read: its disk fails, or the file "
		 "was made shorter\n"
		 "  try: start it again: what cannot be read is set aside and "
		 "fetched again; dmesg tells of a failing disk\n", store_path);
	words_len = strlen(words);
	sigaction(SIGBUS, &a, NULL);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	a.sa_sigaction = on_sigsegv; /* theirs has more to tell */
	sigaction(SIGSEGV, &a, NULL);
#endif
}
