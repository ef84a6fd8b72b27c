/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - tables, numbers for people, progress bars. */
#include "api/cli/cli.h"

#include <sys/ioctl.h>

#include "core/clock.h"

#define BAR_EVERY_NS (100 * NS_PER_MS)
#define BAR_AFTER_NS (300 * NS_PER_MS)
#define BAR_WIDTH 24

void cli_print_json(const json_t *v)
{
	cleanup_buf struct buf text = BUF_INIT;

	json_print_pretty(v, &text);
	buf_putc(&text, '\n');
	fwrite(text.data, 1, text.len, stdout);
}

const char *cli_text(const json_t *v, const char *key)
{
	return json_get_text(v, key, "");
}

const char *cli_bytes(uint64_t n, char buf[24])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double x = (double)n;
	size_t u = 0;

	while (x >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		x /= 1024;
		u++;
	}
	snprintf(buf, 24, u && x < 100 ? "%.1f %s" : "%.0f %s", x, units[u]);
	return buf;
}

const char *cli_span(int64_t ns, char buf[24])
{
	double ms = (double)ns / 1e6;

	if (ms > 0 && ms < 0.1)
		snprintf(buf, 24, "%.0f us", ms * 1e3);
	else if (ms < 1000)
		snprintf(buf, 24, ms < 10 ? "%.1f ms" : "%.0f ms", ms);
	else if (ms < 120e3)
		snprintf(buf, 24, "%.1f s", ms / 1e3);
	else if (ms < 120 * 60e3)
		snprintf(buf, 24, "%.0f min", ms / 60e3);
	else if (ms < 48 * 3600e3)
		snprintf(buf, 24, "%.0f h", ms / 3600e3);
	else
		snprintf(buf, 24, "%.0f days", ms / (24 * 3600e3));
	return buf;
}

/* -- tables -------------------------------------------------------------------- */

void cli_table_add(struct cli_table *t, ...)
{
	va_list ap;

	t->cells = xrealloc(t->cells,
			    (t->n + 1) * t->columns * sizeof(*t->cells));
	va_start(ap, t);
	for (unsigned i = 0; i < t->columns; i++)
		t->cells[t->n * t->columns + i] =
			xstrdup(va_arg(ap, const char *));
	va_end(ap);
	t->n++;
}

/* Characters, not bytes. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Control characters of hostile names do not reach the terminal. */
static void put_cell(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			printf("\\x%02x", (unsigned char)*s);
		else
			putchar(*s);
	}
}

static void print_row(const struct cli_table *t, const char *const *cells,
		      const size_t *widths)
{
	for (unsigned i = 0; i < t->columns; i++) {
		size_t w = width(cells[i]);
		int pad = (int)(widths[i] - MIN(w, widths[i]));

		if (t->align[i] == 'r')
			printf("%*s", pad, "");
		put_cell(cells[i]);
		if (i + 1 == t->columns)
			break;
		printf("%*s", (t->align[i] == 'r' ? 0 : pad) + 2, "");
	}
	putchar('\n');
}

void cli_table_print(struct cli_table *t)
{
	size_t widths[16] = { 0 };

	assert(t->columns <= ARRAY_SIZE(widths));
	for (unsigned i = 0; i < t->columns; i++) {
		widths[i] = t->heads ? width(t->heads[i]) : 0;
		for (size_t r = 0; r < t->n; r++)
			widths[i] = MAX(widths[i],
					width(t->cells[r * t->columns + i]));
	}
	if (t->heads)
		print_row(t, t->heads, widths);
	for (size_t r = 0; r < t->n; r++)
		print_row(t, (const char *const *)t->cells + r * t->columns,
			  widths);
	for (size_t i = 0; i < t->n * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->n = 0;
}

/* -- progress --------------------------------------------------------------------- */

void cli_bar_init(struct cli_bar *b, const struct cli *c)
{
	const char *term = getenv("TERM");

	*b = (struct cli_bar){ .started_ns = now_ns() };
	b->on = !c->quiet && !c->json && isatty(STDERR_FILENO) &&
		!(term && !strcmp(term, "dumb"));
}

static int terminal_width(void)
{
	struct winsize w;

	return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col ? w.ws_col
								  : 80;
}

void cli_bar_set(struct cli_bar *b, uint64_t done, uint64_t total,
		 const char *text)
{
	int64_t now = now_ns();
	char line[512], bar[BAR_WIDTH + 1];
	int fill;

	if (!b->on || now - b->last_ns < BAR_EVERY_NS ||
	    now - b->started_ns < BAR_AFTER_NS)
		return;
	b->last_ns = now;
	b->shown = true;
	if (total) {
		fill = (int)(MIN(done, total) * BAR_WIDTH / total);
		memset(bar, '#', (size_t)fill);
		memset(bar + fill, '.', (size_t)(BAR_WIDTH - fill));
		bar[BAR_WIDTH] = '\0';
		snprintf(line, sizeof(line), "[%s] %3d%%  %s", bar,
			 (int)(MIN(done, total) * 100 / total), text);
	} else {
		snprintf(line, sizeof(line), "%s", text);
	}
	fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, line);
	fflush(stderr);
}

void cli_bar_end(struct cli_bar *b)
{
	if (b->shown)
		fprintf(stderr, "\r\033[K");
	b->shown = b->on = false;
}
