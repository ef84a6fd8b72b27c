/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base.h"

#include <check.h>

#include "api/http/auth.h"

static const struct auth_policy open_policy;
static const struct auth_policy with_token = { .token = "secret-42" };
static const struct auth_policy insecure = { .allow_insecure = true };

static int ask(const struct auth_policy *p, struct auth_facts f)
{
	const char *code = NULL;
	int status = auth_check(p, &f, &code);

	ck_assert_int_eq(status != 0, code != NULL);
	return status;
}

#define FACTS(...) ((struct auth_facts){ .host = "localhost:2725", __VA_ARGS__ })

START_TEST(tokens)
{
	ck_assert(auth_token_ok("Bearer secret-42", "secret-42"));
	ck_assert(auth_token_ok("bearer   secret-42", "secret-42"));
	ck_assert(!auth_token_ok("Bearer secret-4", "secret-42"));
	ck_assert(!auth_token_ok("Bearer secret-422", "secret-42"));
	ck_assert(!auth_token_ok("Bearer ", "secret-42"));
	ck_assert(!auth_token_ok("Basic secret-42", "secret-42"));
	ck_assert(!auth_token_ok("secret-42", "secret-42"));
	/* any:secret-42, secret-42 alone, any:secret-4, broken */
	ck_assert(auth_token_ok("Basic YW55OnNlY3JldC00Mg==", "secret-42"));
	ck_assert(!auth_token_ok("Basic c2VjcmV0LTQy", "secret-42"));
	ck_assert(!auth_token_ok("Basic YW55OnNlY3JldC00", "secret-42"));
	ck_assert(!auth_token_ok("Basic YW55OnNl!3J", "secret-42"));
	ck_assert(!auth_token_ok("Basic ", "secret-42"));
	ck_assert(!auth_token_ok(NULL, "secret-42"));
}
END_TEST

START_TEST(hosts)
{
	static const char *const own[] = {
		"localhost", "localhost:2725", "LOCALHOST:1", "127.0.0.1",
		"127.0.0.1:2725", "[::1]:2725", "[::1]", "10.1.2.3:80",
		"scorpio.localhost",
	};
	static const char *const foreign[] = {
		"", "evil.example", "evil.example:2725", "localhost.evil.com",
		"127.0.0.1.evil.com", "[::1", "[evil]", "[::1]x", "a:b:c",
		"localhost:x", ":2725", "1.2.3", "localhost@evil.com",
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		ck_assert_msg(auth_host_ok(own[i], AUTH_LOOPBACK), "%s",
			      own[i]);
		ck_assert(auth_host_ok(own[i], AUTH_REMOTE));
	}
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		ck_assert_msg(!auth_host_ok(foreign[i], AUTH_LOOPBACK), "%s",
			      foreign[i]);
	ck_assert(!auth_host_ok("scorpio", AUTH_LOOPBACK));
	ck_assert(auth_host_ok("scorpio:2725", AUTH_REMOTE));
	ck_assert(auth_host_ok("host.docker.internal", AUTH_REMOTE));
	ck_assert(!auth_host_ok("evil.example", AUTH_REMOTE));
}
END_TEST

START_TEST(unix_socket)
{
	ck_assert_int_eq(ask(&with_token, (struct auth_facts){
			.place = AUTH_UNIX, .peer_ok = true,
			.changes = true }), 0);
	ck_assert_int_eq(ask(&open_policy, (struct auth_facts){
			.place = AUTH_UNIX, .peer_ok = false }), 403);
}
END_TEST

START_TEST(loopback)
{
	ck_assert_int_eq(ask(&open_policy, FACTS(.place = AUTH_LOOPBACK)), 0);
	ck_assert_int_eq(ask(&open_policy, FACTS(.place = AUTH_LOOPBACK,
						 .changes = true)), 0);
	ck_assert_int_eq(ask(&with_token, FACTS(.place = AUTH_LOOPBACK)), 0);
	ck_assert_int_eq(ask(&with_token, FACTS(.place = AUTH_LOOPBACK,
						.changes = true)), 401);
	ck_assert_int_eq(ask(&with_token, FACTS(.place = AUTH_LOOPBACK,
			.authorization = "Bearer no")), 401);
	ck_assert_int_eq(ask(&with_token, FACTS(.place = AUTH_LOOPBACK,
			.changes = true,
			.authorization = "Bearer secret-42")), 0);
	ck_assert_int_eq(ask(&open_policy, (struct auth_facts){
			.place = AUTH_LOOPBACK }), 400);
	ck_assert_int_eq(ask(&open_policy, (struct auth_facts){
			.place = AUTH_LOOPBACK, .host = "evil.example" }),
			 403);
	/* public does not mean reachable through a foreign name */
	ck_assert_int_eq(ask(&open_policy, (struct auth_facts){
			.place = AUTH_LOOPBACK, .is_public = true,
			.host = "evil.example" }), 403);
	/* a server that is meant for any name */
	ck_assert_int_eq(ask(&open_policy, (struct auth_facts){
			.place = AUTH_LOOPBACK, .is_public = true,
			.any_host = true, .host = "cache.example" }), 0);
}
END_TEST

START_TEST(remote)
{
	ck_assert_int_eq(ask(&with_token, FACTS(.place = AUTH_REMOTE)), 401);
	ck_assert_int_eq(ask(&open_policy, FACTS(.place = AUTH_REMOTE)), 401);
	ck_assert_int_eq(ask(&with_token, FACTS(.place = AUTH_REMOTE,
						.is_public = true)), 0);
	ck_assert_int_eq(ask(&with_token, FACTS(.place = AUTH_REMOTE,
			.changes = true,
			.authorization = "Bearer secret-42")), 0);
	/* the token proves enough: any name, any origin */
	ck_assert_int_eq(ask(&with_token, (struct auth_facts){
			.place = AUTH_REMOTE, .host = "build.example",
			.authorization = "Bearer secret-42" }), 0);
	ck_assert_int_eq(ask(&insecure, FACTS(.place = AUTH_REMOTE,
					      .changes = true)), 0);
	ck_assert_int_eq(ask(&insecure, (struct auth_facts){
			.place = AUTH_REMOTE, .host = "evil.example" }),
			 403);
}
END_TEST

START_TEST(pages)
{
	struct auth_facts f = FACTS(.place = AUTH_LOOPBACK, .changes = true,
				    .has_body = true,
				    .content_type = "application/json");

	ck_assert_int_eq(ask(&open_policy, f), 0);
	f.origin = "http://localhost:2725";
	ck_assert_int_eq(ask(&open_policy, f), 0);
	f.origin = "http://localhost:9999";
	ck_assert_int_eq(ask(&open_policy, f), 403);
	f.origin = "null";
	ck_assert_int_eq(ask(&open_policy, f), 403);
	f.changes = false; /* answers carry no CORS header anyway */
	ck_assert_int_eq(ask(&open_policy, f), 0);
	f.changes = true;
	f.origin = NULL;
	f.sec_fetch_site = "cross-site";
	ck_assert_int_eq(ask(&open_policy, f), 403);
	f.sec_fetch_site = "same-origin";
	ck_assert_int_eq(ask(&open_policy, f), 0);
	f.content_type = "text/plain";
	ck_assert_int_eq(ask(&open_policy, f), 415);
	f.content_type = NULL;
	ck_assert_int_eq(ask(&open_policy, f), 415);
	/* uploads are of any type, from no other origin either */
	f.any_type = true;
	ck_assert_int_eq(ask(&open_policy, f), 0);
	f.sec_fetch_site = "cross-site";
	ck_assert_int_eq(ask(&open_policy, f), 403);
}
END_TEST

START_TEST(json_types)
{
	ck_assert(auth_is_json("application/json"));
	ck_assert(auth_is_json("Application/JSON; charset=utf-8"));
	ck_assert(!auth_is_json("application/jsonx"));
	ck_assert(!auth_is_json("text/json"));
	ck_assert(!auth_is_json(NULL));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("auth");
	TCase *c = tcase_create("auth");
	SRunner *sr;
	int failed;

	tcase_add_test(c, tokens);
	tcase_add_test(c, hosts);
	tcase_add_test(c, unix_socket);
	tcase_add_test(c, loopback);
	tcase_add_test(c, remote);
	tcase_add_test(c, pages);
	tcase_add_test(c, json_types);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
