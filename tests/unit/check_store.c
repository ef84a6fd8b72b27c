/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_test.h"

START_TEST(round_trip)
{
	static const size_t sizes[] = {
		0,         1,       100,           65535,
		65536,     65537,   8 * 65536,     8 * 65536 + 1,
		9 * 65536, 3 << 20, (3 << 20) + 17
	};
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		put_ok(&f, (unsigned)i, sizes[i], SCORPIO_ID_GIT, i % 2);
	ck_assert_int_eq(store_flush(f.s, DEADLINE_NONE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		expect_content(&f, (unsigned)i, sizes[i], SCORPIO_ID_GIT);
	fixture_reopen(&f);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		expect_content(&f, (unsigned)i, sizes[i], SCORPIO_ID_GIT);
	fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store");

	tcase_add_test(t, round_trip);
	return run_suite("store", t);
}
