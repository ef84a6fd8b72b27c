/* SPDX-License-Identifier: Apache-2.0 */
/* The check of the data file's structure: any file, never a crash and never
 * without end. */
#include "tests/fuzz/fuzz.h"

#include "core/base.h"

#include "cache/store_impl.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	int r;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	r = store_check_fd(fd, 0, DEADLINE_NONE);
	assert(r <= 0);
	close(fd);
	return 0;
}
