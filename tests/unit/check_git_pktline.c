/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/git/answer.h"
#include "core/buf.h"

#include <check.h>

static struct buf seen;

static int on_packet(void *ctx, enum pktline_kind kind, const uint8_t *data,
		     size_t len)
{
	int *stop = ctx;

	buf_putc(&seen, (uint8_t)("DF1E"[kind == PKTLINE_DATA  ? 0 :
					 kind == PKTLINE_FLUSH ? 1 :
					 kind == PKTLINE_DELIM ? 2 : 3]));
	buf_put(&seen, data, len);
	buf_putc(&seen, '|');
	return stop ? *stop : 0;
}

/* The packets of `text`, fed in slices; "!" and the reason on failure. */
static const char *read_text(const char *text, size_t n, size_t slice)
{
	struct pktline_reader r;
	int rc = 0;

	buf_done(&seen);
	pktline_reader_init(&r, on_packet, NULL);
	for (size_t i = 0; i < n && rc == 0; i += slice)
		rc = pktline_feed(&r, text + i, MIN(slice, n - i));
	if (rc == -EBADMSG)
		buf_printf(&seen, "!%s", r.why);
	else if (!pktline_at_boundary(&r))
		buf_puts(&seen, "...");
	pktline_reader_done(&r);
	return buf_str(&seen);
}

START_TEST(packets)
{
	static const char text[] = "0006a\n0000000100020004000bnewline";

	for (size_t slice = 1; slice < sizeof(text); slice++)
		ck_assert_str_eq(read_text(text, sizeof(text) - 1, slice),
				 "Da\n|F|1|E|D|Dnewline|");
	ck_assert_str_eq(read_text("000", 3, 3), "...");
	ck_assert_str_eq(read_text("0008ab", 6, 6), "...");
	ck_assert_str_eq(read_text("000Aabcdef", 10, 10), "Dabcdef|");
}
END_TEST

START_TEST(malformed_packets)
{
	ck_assert_str_eq(read_text("0003", 4, 4),
			 "!a packet's length is out of range");
	ck_assert_str_eq(read_text("fff1", 4, 4),
			 "!a packet's length is out of range");
	ck_assert_str_eq(read_text("00 5a", 5, 1),
			 "!a packet's length is not hexadecimal");
	ck_assert_str_eq(read_text("-001", 4, 4),
			 "!a packet's length is not hexadecimal");
	ck_assert_str_eq(read_text("<htm", 4, 4),
			 "!a packet's length is not hexadecimal");
}
END_TEST

START_TEST(largest_packet)
{
	char *text = xmalloc(PKTLINE_MAX + 1);

	snprintf(text, 5, "fff0");
	memset(text + 4, 'x', PKTLINE_MAX - 4);
	for (size_t slice = 1; slice <= PKTLINE_MAX; slice += 9999)
		ck_assert_uint_eq(strlen(read_text(text, PKTLINE_MAX, slice)),
				  PKTLINE_MAX - 4 + 2);
	free(text);
}
END_TEST

START_TEST(a_callback_stops)
{
	struct pktline_reader r;
	int stop = -ECANCELED;

	buf_done(&seen);
	pktline_reader_init(&r, on_packet, &stop);
	ck_assert_int_eq(pktline_feed(&r, "0005a0005b", 10), -ECANCELED);
	ck_assert_str_eq(buf_str(&seen), "Da|");
	pktline_reader_done(&r);
}
END_TEST

START_TEST(writing)
{
	struct pktline_buf b = { 0 };

	pktline_add(&b, "command=%s", "fetch");
	pktline_mark(&b, PKTLINE_DELIM);
	for (int i = 0; i < 1000; i++)
		pktline_add(&b, "want %040d", i);
	pktline_mark(&b, PKTLINE_FLUSH);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 18 + 4 + 1000 * 50 + 4);
	ck_assert_mem_eq(b.data, "0012command=fetch\n0001"
			 "0032want 0000000000000000000000000000000000000000\n",
			 22 + 50);
	ck_assert_mem_eq(b.data + b.len - 4, "0000", 4);
	pktline_buf_done(&b);
	pktline_add(&b, "%5000d", 1);
	ck_assert(b.failed);
	pktline_buf_done(&b);
}
END_TEST

/* -- the answer to a fetch -------------------------------------------------- */

static int on_pack(void *ctx UNUSED, const void *data, size_t n)
{
	buf_put(&seen, data, n);
	return 0;
}

static int answer(const char *text, size_t n, char *ret_text, size_t cap)
{
	struct gitanswer a;
	int rc;

	buf_done(&seen);
	gitanswer_init(&a, on_pack, NULL);
	rc = gitanswer_feed(&a, text, n);
	if (rc == 0)
		rc = gitanswer_finish(&a);
	snprintf(ret_text, cap, "%s", a.refused ? a.text : a.why ? a.why : "");
	gitanswer_done(&a);
	return rc;
}

START_TEST(answers)
{
	static const struct {
		const char *text;
		int rc;
		const char *seen, *why;
	} cases[] = {
		{ "000dpackfile\n0008\1PAC0006\1K0000", 0, "PACK", "" },
		{ "0011shallow-info\n000cshallow 0001000dpackfile\n"
		  "0009\2busy0009\1PACK0000", 0, "PACK", "" },
		{ "000dpackfile\n0009\1PACK", -EIO, "PACK", "" },
		{ "000dpackfile\n0009\1PAC", -EIO, "", "" },
		{ "", -EIO, "", "" },
		{ "0000", -EBADMSG, "", "it holds no pack" },
		{ "0008what", -EBADMSG, "", "an unknown section" },
		{ "000dpackfile\n0005\7", -EBADMSG, "", "an unknown band" },
		{ "000dpackfile\n0004", -EBADMSG, "",
		  "a packet without a band" },
		{ "000dpackfile\n00000005x", -EBADMSG, "",
		  "data after the end" },
		{ "000dpackfile\n000c\3oh\n\33no\n", -EREMOTEIO, "", "oh no" },
		{ "000eERR go away", -EREMOTEIO, "", "go awa" },
		{ "zzzz", -EBADMSG, "",
		  "a packet's length is not hexadecimal" },
	};
	char why[600];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(answer(cases[i].text, strlen(cases[i].text),
					why, sizeof(why)), cases[i].rc);
		ck_assert_str_eq(buf_str(&seen), cases[i].seen);
		ck_assert_str_eq(why, cases[i].why);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("git_pktline");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, packets);
	tcase_add_test(t, malformed_packets);
	tcase_add_test(t, largest_packet);
	tcase_add_test(t, a_callback_stops);
	tcase_add_test(t, writing);
	tcase_add_test(t, answers);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	buf_done(&seen);
	return failed ? 1 : 0;
}
