/* SPDX-License-Identifier: Apache-2.0 */
#include "core/toml.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <vector>

namespace
{

struct drop {
	void operator()(json_t *v) const
	{
		json_decref(v);
	}
};
using json = std::unique_ptr<json_t, drop>;

/* What we refuse although TOML allows it. */
struct refused {
	toml::source_position at;
	const char *reason;
};

json checked(json_t *v)
{
	if (!v)
		throw std::bad_alloc();
	return json(v);
}

void note(json_t *where, const std::string &path,
	  const toml::source_region &region)
{
	const auto &at = region.begin;
	json_int_t line = std::min<json_int_t>(at.line, 0x7fffffff);
	json_int_t column = std::min<json_int_t>(at.column, 0xffff);
	json_t *v = json_integer(line << 16 | column);

	if (json_object_set_new(where, path.c_str(), v))
		throw std::bad_alloc();
}

/* RFC 6901: "~" is "~0", "/" is "~1" */
std::string step(const std::string &path, std::string_view key)
{
	std::string out = path + "/";

	for (char c : key) {
		if (c == '~')
			out += "~0";
		else if (c == '/')
			out += "~1";
		else
			out += c;
	}
	return out;
}

json real(double v)
{
	if (std::isfinite(v))
		return checked(json_real(v));
	return checked(json_string(std::isnan(v) ? "nan" : "inf"));
}

json convert(const toml::node &n, const std::string &path, json_t *where);

json convert_array(const toml::array &a, const std::string &path, json_t *where)
{
	json out = checked(json_array());
	size_t i = 0;

	for (const toml::node &item : a) {
		json v = convert(item, step(path, std::to_string(i++)), where);

		if (json_array_append_new(out.get(), v.release()))
			throw std::bad_alloc();
	}
	return out;
}

json convert_table(const toml::table &t, const std::string &path, json_t *where)
{
	json out = checked(json_object());
	std::vector<toml::table::const_iterator> order;

	/* the library sorts by name; people read files from top to bottom */
	for (auto i = t.cbegin(); i != t.cend(); ++i)
		order.push_back(i);
	std::stable_sort(order.begin(), order.end(),
			 [](const auto &a, const auto &b) {
		const auto &x = a->second.source().begin;
		const auto &y = b->second.source().begin;

		return x.line != y.line ? x.line < y.line :
					  x.column < y.column;
	});
	for (const auto &i : order) {
		std::string key(i->first.str());
		json v;

		if (key.find('\0') != std::string::npos)
			throw refused{ i->second.source().begin,
				       "a key holds a NUL character" };
		v = convert(i->second, step(path, key), where);
		/* the position of the key says more than that of the value */
		note(where, step(path, key), i->first.source());
		if (json_object_set_new(out.get(), key.c_str(), v.release()))
			throw std::bad_alloc();
	}
	return out;
}

json convert(const toml::node &n, const std::string &path, json_t *where)
{
	note(where, path, n.source());
	if (const auto *t = n.as_table())
		return convert_table(*t, path, where);
	if (const auto *a = n.as_array())
		return convert_array(*a, path, where);
	if (const auto *s = n.as_string()) {
		const std::string &text = s->get();

		if (text.find('\0') != std::string::npos)
			throw refused{ n.source().begin,
				       "a string holds a NUL character" };
		return checked(json_stringn(text.data(), text.size()));
	}
	if (const auto *i = n.as_integer())
		return checked(json_integer(i->get()));
	if (const auto *f = n.as_floating_point())
		return real(f->get());
	if (const auto *b = n.as_boolean())
		return checked(json_boolean(b->get()));
	return checked(json_null());
}

void report(struct toml_error *e, const toml::source_position &at,
	    std::string_view reason)
{
	e->line = at.line ? at.line : 1;
	e->column = at.column ? at.column : 1;
	snprintf(e->reason, sizeof(e->reason), "%.*s", (int)reason.size(),
		 reason.data());
}

void parse(std::string_view text, json_t **ret, json_t **ret_where)
{
	toml::table t = toml::parse(text);
	json where = checked(json_object());
	json root = convert_table(t, "", where.get());

	*ret = root.release();
	*ret_where = where.release();
}

} /* namespace */

int toml_read(const char *text, size_t n, json_t **ret, json_t **ret_where,
	      struct toml_error *ret_error)
{
	try {
		parse(std::string_view(text, n), ret, ret_where);
		return 0;
	} catch (const toml::parse_error &e) {
		report(ret_error, e.source().begin, e.description());
		return -EBADMSG;
	} catch (const refused &e) {
		report(ret_error, e.at, e.reason);
		return -EBADMSG;
	} catch (const std::bad_alloc &) {
		report(ret_error, {}, "out of memory");
		return -ENOMEM;
	} catch (...) {
		report(ret_error, {}, "not understood");
		return -EBADMSG;
	}
}
