/* SPDX-License-Identifier: Apache-2.0 */
#include "api/cli/foreground.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#define FOREGROUND_MOUNT_MS 120000

static void tell(const struct fs_mount_info *i)
{
	char took[24];

	printf("%s is mounted at %s (%.12s, %s) in %s; Ctrl-C ends it\n",
	       i->source, i->dir, i->rev,
	       i->read_only ? "read-only" : "writable",
	       cli_span(i->mount_ns, took));
	fflush(stdout);
}

int foreground_run(struct cli *c, struct fs_mount_request *r, int writable,
		   void (*ready)(void *ctx, struct daemon *d,
				 const struct fs_mount_info *i),
		   void *ctx, bool temporary)
{
	struct daemon_options o = {
		.config = c->config, .no_restore = true, .temporary = true,
		.http_any_port = temporary, .http_optional = !temporary,
		.hangup_ends = true,
	};
	struct daemon_problem problem = { 0 };
	cleanup_free char *name = NULL;
	struct fs_mount_info info;
	struct daemon *d;
	int err;

	if (daemon_start(&o, &d, &problem)) {
		err = cli_problem(&problem);
		daemon_problem_done(&problem);
		return err;
	}
	r->read_only = writable ? writable < 0 : !mounts_writable(r->source);
	if (!r->read_only && !r->workspace) {
		name = mounts_workspace(r->source, r->dir, r->subdir);
		r->workspace = name;
		r->transient = true;
	}
	r->deadline = deadline_in_ms(FOREGROUND_MOUNT_MS);
	err = mounts_add(daemon_mounts(d), r, &info);
	if (err) {
		char shown[512];

		cli_errno(err, EXIT_MOUNT, "scorpio doctor",
			  "cannot mount %s at %s",
			  log_redact(r->source, shown, sizeof(shown)), r->dir);
		daemon_stop(d);
		daemon_run(d);
		return EXIT_MOUNT;
	}
	if (ready)
		ready(ctx, d, &info);
	else
		tell(&info);
	fs_mount_info_done(&info);
	return daemon_run(d);
}
