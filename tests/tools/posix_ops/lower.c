/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tools/posix_ops/posix_ops.h"
const struct check checks_lower[] = { { 0 } };
