/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the git program. */
#include "api/gitwork/gitwork_impl.h"

#include "core/call.h"
#include "core/error.h"
#include "core/spawn.h"

#define OUTPUT_MAX (256 * MiB)
#define RUN_MS (24u * 3600 * 1000) /* the job's deadline comes first */

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

/* ret_code: may be NULL, then anything but 0 is an error. */
static int run(struct gitjob *j, const char *const *argv, const void *input,
	       size_t len, struct buf *out, int *ret_code)
{
	const char *env[] = { "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
			      "GIT_OPTIONAL_LOCKS=0", "GIT_ASKPASS=",
			      "SSH_ASKPASS=", NULL, NULL };
	struct scorpio_spawn x = {
		.struct_size = sizeof(x), .argv = argv, .env = env,
		.on_output = take, .ctx = out, .input = input,
		.input_len = len, .timeout_ms = RUN_MS,
	};
	struct call call;
	int rc;

	if (!getenv("GIT_SSH_COMMAND") && !getenv("GIT_SSH"))
		env[ARRAY_SIZE(env) - 2] = "GIT_SSH_COMMAND=ssh -oBatchMode=yes";
	call_enter(&call, j->deadline, &j->cancel);
	rc = spawn_run_confined(&x);
	call_leave(&call);
	if (rc == -ENOENT)
		return fail(rc, "the program git is not installed");
	if (!rc && ret_code)
		*ret_code = x.exit_status;
	else if (!rc && x.exit_status)
		rc = fail(-EIO, "git says: %s",
			  *x.error ? x.error : "nothing");
	if (!rc && out && out->len && out->data[out->len - 1] == '\n')
		out->len--;
	return rc;
}

int gitrun(struct gitjob *j, const char *const *argv, struct buf *out)
{
	return run(j, argv, NULL, 0, out, NULL);
}

int gitrun_code(struct gitjob *j, const char *const *argv, struct buf *out,
		int *ret_code)
{
	return run(j, argv, NULL, 0, out, ret_code);
}

int gitrun_input(struct gitjob *j, const char *const *argv, const void *p,
		 size_t n)
{
	return run(j, argv, p, n, NULL, NULL);
}
