/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/auth.h"

#include <arpa/inet.h>
#include <openssl/evp.h>

#include "core/error.h"
#include "core/hash.h"

/* The password of "user:password" in base64; NULL if it is none. */
static const char *password_of(const char *base64, char *plain, size_t cap)
{
	size_t n = strlen(base64);
	int len;

	if (n / 4 * 3 >= cap)
		return NULL;
	len = EVP_DecodeBlock((uint8_t *)plain, (const uint8_t *)base64,
			      (int)n);
	if (len < 0)
		return NULL;
	plain[len] = '\0'; /* what padding stands for is NUL already */
	plain = strchr(plain, ':');
	return plain ? plain + 1 : NULL;
}

bool auth_token_ok(const char *authorization, const char *token)
{
	uint8_t want[SHA256_LEN], got[SHA256_LEN], differ = 0;
	char plain[2048];

	if (!authorization)
		return false;
	if (!strncasecmp(authorization, "Basic ", 6))
		authorization = password_of(authorization + 6, plain,
					    sizeof(plain));
	else if (!strncasecmp(authorization, "Bearer ", 7))
		authorization += 7;
	else
		return false;
	if (!authorization)
		return false;
	while (*authorization == ' ')
		authorization++;
	/* digests have equal length, whatever was sent */
	hash_bytes(HASH_SHA256, token, strlen(token), want);
	hash_bytes(HASH_SHA256, authorization, strlen(authorization), got);
	explicit_bzero(plain, sizeof(plain));
	for (size_t i = 0; i < sizeof(want); i++)
		differ |= want[i] ^ got[i];
	return differ == 0;
}

/* The name without port and brackets; false if it is not a host at all. */
static bool host_name(const char *host, char *name, size_t cap, bool *bracket)
{
	const char *end;
	size_t len;

	*bracket = host[0] == '[';
	if (*bracket) {
		end = strchr(++host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
	} else {
		end = host + strcspn(host, ":");
	}
	len = (size_t)(end - host);
	if (!len || len >= cap)
		return false;
	if (*bracket)
		end++;
	if (*end == ':' && end[1 + strspn(end + 1, "0123456789")])
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	return true;
}

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n > t && !strcasecmp(s + n - t, tail);
}

/* Names that public DNS cannot hand out. */
static bool private_name(const char *name)
{
	char own[256];

	if (gethostname(own, sizeof(own)) == 0) {
		own[sizeof(own) - 1] = '\0';
		if (!strcasecmp(name, own))
			return true;
	}
	return !strchr(name, '.') || ends_with(name, ".internal") ||
	       ends_with(name, ".local") || ends_with(name, ".svc");
}

bool auth_host_ok(const char *host, enum auth_place place)
{
	unsigned char addr[16];
	char name[256];
	bool bracket;

	if (!host_name(host, name, sizeof(name), &bracket))
		return false;
	if (bracket)
		return inet_pton(AF_INET6, name, addr) == 1;
	if (inet_pton(AF_INET, name, addr) == 1 ||
	    !strcasecmp(name, "localhost") || ends_with(name, ".localhost"))
		return true;
	return place != AUTH_LOOPBACK && private_name(name);
}

bool auth_is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t n = sizeof(json) - 1;

	if (!content_type || strncasecmp(content_type, json, n))
		return false;
	content_type += n;
	return content_type[strspn(content_type, " \t")] == '\0' ||
	       content_type[strspn(content_type, " \t")] == ';';
}

static int refuse(int status, const char *code, const char **ret_code,
		  const char *text)
{
	*ret_code = code;
	fail(-EPERM, "%s", text);
	return status;
}

/* A page of this server has the origin http://<Host>. */
static bool own_origin(const struct auth_facts *f)
{
	if (!f->origin)
		return true;
	return !strncmp(f->origin, "http://", 7) &&
	       !strcasecmp(f->origin + 7, f->host);
}

static int check_page(const struct auth_facts *f, const char **ret_code)
{
	if (!f->changes)
		return 0;
	if (!own_origin(f) ||
	    (f->sec_fetch_site && strcmp(f->sec_fetch_site, "same-origin") &&
	     strcmp(f->sec_fetch_site, "none")))
		return refuse(403, "FOREIGN_ORIGIN", ret_code,
			      "a page of another origin may not change "
			      "anything here");
	if (f->has_body && !f->any_type && !auth_is_json(f->content_type))
		return refuse(415, "UNSUPPORTED_MEDIA_TYPE", ret_code,
			      "the body must be application/json");
	return 0;
}

static bool needs_token(const struct auth_policy *p,
			const struct auth_facts *f)
{
	if (f->is_public)
		return false;
	if (f->place == AUTH_LOOPBACK)
		return p->token && f->changes;
	return p->token || !p->allow_insecure;
}

int auth_check(const struct auth_policy *p, const struct auth_facts *f,
	       const char **ret_code)
{
	bool token_ok = p->token && auth_token_ok(f->authorization, p->token);

	if (f->place == AUTH_UNIX)
		return f->peer_ok ? 0
				  : refuse(403, "FORBIDDEN", ret_code,
					   "this socket belongs to another "
					   "user");
	if (!f->host)
		return refuse(400, "BAD_REQUEST", ret_code,
			      "no Host header");
	if (token_ok)
		return 0;
	if (!f->any_host && !auth_host_ok(f->host, f->place))
		return refuse(403, "FOREIGN_HOST", ret_code,
			      "the Host header names another server; use the "
			      "IP address or localhost, or send the token");
	if (p->token && f->authorization)
		return refuse(401, "UNAUTHORIZED", ret_code,
			      "the token is wrong");
	if (needs_token(p, f))
		return refuse(401, "UNAUTHORIZED", ret_code,
			      "send the server's token: "
			      "Authorization: Bearer TOKEN");
	return check_page(f, ret_code);
}
