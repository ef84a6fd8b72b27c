/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the git program. */
#include "api/gitwork/gitwork_impl.h"

#include "core/call.h"
#include "core/error.h"
#include "core/spawn.h"

#define OUTPUT_MAX (256 * MiB)

static int take(void *ctx, const void *data, uint64_t n)
{
	struct buf *out = ctx;

	if (!out)
		return 0;
	if (n > OUTPUT_MAX - out->len)
		return -EFBIG;
	buf_put(out, data, (size_t)n);
	return 0;
}

int gitrun(struct gitjob *j, const char *const *argv, struct buf *out)
{
	const char *env[] = { "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
			      "GIT_OPTIONAL_LOCKS=0", NULL };
	struct scorpio_spawn x = {
		.struct_size = sizeof(x), .argv = argv, .env = env,
		.on_output = take, .ctx = out,
	};
	struct call call;
	int rc;

	call_enter(&call, j->deadline, &j->cancel);
	rc = spawn_run(&x);
	call_leave(&call);
	if (rc == -ENOENT)
		return fail(rc, "the program git is not installed");
	if (!rc && x.exit_status)
		rc = fail(-EIO, "git %s: %s", argv[1],
			  *x.error ? x.error : "it failed");
	if (!rc && out && out->len && out->data[out->len - 1] == '\n')
		out->len--;
	return rc;
}
