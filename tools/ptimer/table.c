/* SPDX-License-Identifier: MIT */
/*
 * table.c - reads timer tables.
 *
 * A line is scanned into words first. Words do not remember where they came from: when one is wrong, the line is scanned again
 * up to the byte that is meant.
 */
#include "tools/ptimer/table.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_LEN_MAX = 64, WHAT_MAX = 1024 };

struct reader {
	struct ptimer_table *table;
	struct ptimer_zones *zones;
	ptimer_table_mistake *tell;
	void *ctx;
	int mistakes;
	unsigned depth;
	char words[PTIMER_TABLE_LINE_MAX]; /* of the line, each with a NUL */
};

struct source {
	struct reader *reader;
	const char *file;
	const char *p, *end; /* what is still to read; p is at the beginning of a line */
	unsigned line;
};

/* ---- bytes and words ---- */

struct scan {
	const char *p, *end;
	const char *at;	  /* where the byte was that next_byte() gave last */
	const char *what; /* is wrong there */
	const char *opened;
	char quote;
};

enum { WORD_END = -1, JOINED = -2, WRONG = -3 };

static bool at_line_end(const struct scan *s)
{
	return s->p == s->end || *s->p == '\n';
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static bool is_control(int c)
{
	return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f;
}

/* How many bytes from here on, up to max, mean themselves wherever they stand? */
static size_t plain(const char *p, size_t max)
{
	static const bool special[256] = { [0 ... ' '] = true, ['\''] = true, ['"'] = true, ['\\'] = true, [0x7f] = true };
	size_t n = 0;

	while (n < max && !special[(unsigned char)p[n]])
		n++;
	return n;
}

static int wrong(struct scan *s, const char *at, const char *what)
{
	s->at = at;
	s->what = what;
	return WRONG;
}

/* What a backslash means. */
static int escaped_byte(struct scan *s)
{
	if (s->p == s->end)
		return wrong(s, s->at, "nothing follows the backslash");
	if (*s->p == '\n') {
		s->p++;
		return JOINED;
	}
	if (s->quote && *s->p != '"' && *s->p != '\\')
		return '\\';
	return (unsigned char)*s->p++;
}

/* The next byte of a word as it is meant. */
static int next_byte(struct scan *s)
{
	for (;;) {
		int c = at_line_end(s) ? '\n' : (unsigned char)*s->p;

		s->at = s->p;
		if (c == '\n')
			return s->quote ? wrong(s, s->opened, "the quote does not end on this line") : WORD_END;
		if (!s->quote && is_blank(c))
			return WORD_END;
		s->p++;
		if (s->quote ? c == s->quote : c == '\'' || c == '"') {
			s->quote = s->quote ? 0 : (char)c;
			s->opened = s->at;
			continue;
		}
		if (c == '\\' && s->quote != '\'')
			c = escaped_byte(s);
		if (c != JOINED)
			return is_control(c) ? wrong(s, s->at, "a word has no control characters") : c;
	}
}

/* To the beginning of the next word of the line. False: there is none. */
static bool next_word(struct scan *s)
{
	for (;;) {
		if (at_line_end(s) || *s->p == '#')
			return false;
		if (*s->p == '\\' && s->end - s->p > 1 && s->p[1] == '\n')
			s->p++;
		else if (!is_blank(*s->p))
			return true;
		s->p++;
	}
}

/* ---- mistakes ---- */

/* How many are between two places; *ret_line (may be NULL): where the last line begins. */
static unsigned newlines(const char *from, const char *to, const char **ret_line)
{
	const char *newline;
	unsigned n = 0;

	for (; (newline = memchr(from, '\n', (size_t)(to - from))); n++)
		from = newline + 1;
	if (ret_line)
		*ret_line = from;
	return n;
}

static void say(const struct source *s, const char *at, const char *what)
{
	struct reader *r = s->reader;
	const char *begin;
	unsigned line = s->line + newlines(s->p, at, &begin);

	r->tell(r->ctx, s->file, line, (unsigned)(at - begin) + 1, what);
}

__attribute__((format(printf, 3, 4))) static void mistake(const struct source *s, const char *at, const char *fmt, ...)
{
	char raw[WHAT_MAX], what[WHAT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	pcore_escape(what, sizeof(what), raw, strlen(raw));
	s->reader->mistakes++;
	say(s, at, what);
}

/* Where in the source a byte of the line's words comes from. Of the first byte of a word: where the word begins. */
static const char *origin(const struct source *s, size_t offset)
{
	struct scan sc = { .p = s->p, .end = s->end };
	const char *begin;

	(void)next_word(&sc);
	begin = sc.p;
	for (;; offset--) {
		int c = next_byte(&sc);

		if (offset == 0)
			return begin ? begin : sc.at;
		assert(c != WRONG);
		begin = NULL;
		if (c == WORD_END) {
			(void)next_word(&sc);
			begin = sc.p;
		}
	}
}

/* ---- timers ---- */

static int set_priority(void *target, const char *name, const char *value)
{
	struct ptimer_timer *t = target;

	if (pcore_parse_i64(value, INT32_MIN, INT32_MAX, &t->priority) < 0)
		return cli_opt_bad(name, value, "must be a whole number from -2147483648 to 2147483647");
	return 0;
}

static const struct cli_opt priority_table[] = {
	{ .name = "priority", .kind = CLI_OPT_CALL, .arg = "N", .set = set_priority },
	{ .name = NULL },
};

void ptimer_timer_free(struct ptimer_timer *t)
{
	if (!t)
		return;
	ptimer_opts_done(&t->opts);
	free(t->words);
	free(t);
}

/* With the words of the line, not yet understood. */
static struct ptimer_timer *new_timer(const struct source *s, size_t n, size_t len)
{
	struct ptimer_timer *t = malloc(sizeof(*t));
	char **words = malloc((n + 1) * sizeof(*words) + len), *text;

	if (!t || !words) {
		free(t);
		free(words);
		return NULL;
	}
	text = memcpy(words + n + 1, s->reader->words, len);
	for (size_t i = 0; i < n; i++, text += strlen(text) + 1)
		words[i] = text;
	words[n] = NULL;
	*t = (struct ptimer_timer){ .words = words, .name = words[0], .place = { .file = s->file, .line = s->line } };
	ptimer_opts_init(&t->opts);
	return t;
}

/* A mistake at a byte of the timer's words. */
static void timer_mistake(const struct source *s, const struct ptimer_timer *t, const char *at, const char *what)
{
	s->reader->mistakes++;
	say(s, origin(s, (size_t)(at - t->name)), what);
}

static bool is_name(const char *s)
{
	size_t len = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return len > 0 && len <= NAME_LEN_MAX && !s[len] && !strchr("._-", s[0]);
}

/* Take the colon off. */
static bool read_name(const struct source *s, struct ptimer_timer *t)
{
	size_t len = strlen(t->name);
	bool colon = len > 0 && t->name[len - 1] == ':';

	if (!colon) {
		mistake(s, origin(s, 0), "'%s' is no name with a colon: a line is `NAME: VERB WHEN ...' or `include FILE'", t->name);
		return false;
	}
	t->words[0][len - 1] = '\0';
	if (is_name(t->name))
		return true;
	mistake(s, origin(s, 0), "'%s' is no name: it must be 1 to %d letters, digits and . _ -, a letter or digit first", t->name,
		NAME_LEN_MAX);
	return false;
}

/* Open a zone that is named at the end of a word. */
static bool open_zone(const struct source *s, struct ptimer_timer *t, const char *word, const char *name, const struct pcore_zone **ret)
{
	const char *at = word;
	char what[WHAT_MAX];
	int r;

	cli_divert(what, sizeof(what));
	r = ptimer_zones_open(s->reader->zones, name, ret);
	cli_divert(NULL, 0);
	if (r == CLI_GO)
		return true;
	for (const char *p = word; (p = strstr(p, name)); p++)
		at = p;
	timer_mistake(s, t, at, what);
	return false;
}

static bool open_zones(const struct source *s, struct ptimer_timer *t)
{
	const struct ptimer_opts *o = &t->opts;
	const char *own = ptimer_own_zone(o);
	const struct pcore_zone *of_until;
	struct pcore_time until;
	bool ok = true;

	if (o->tz)
		ok = open_zone(s, t, o->tz, o->tz, &t->zone) && ok;
	if (own[0])
		ok = open_zone(s, t, o->expression, own, &t->zone) && ok;
	if (o->until && pcore_time_parse(o->until, &until, NULL) == 0 && until.zone[0])
		ok = open_zone(s, t, o->until, until.zone, &of_until) && ok;
	return ok;
}

/* What the caller has to say about a timer. */
static void warn(const struct source *s, const struct ptimer_timer *t)
{
	const struct reader *r = s->reader;
	const char *doubt = r->table->doubt ? r->table->doubt(r->ctx, t) : NULL;
	char what[WHAT_MAX];

	if (!doubt)
		return;
	(void)snprintf(what, sizeof(what), "warning: %s", doubt);
	say(s, origin(s, (size_t)(t->opts.expression - t->name)), what);
}

static bool read_timer(const struct source *s, struct ptimer_timer *t, size_t n)
{
	const struct ptimer_line line = { .table = priority_table, .target = t };
	char what[WHAT_MAX] = "";
	bool named = read_name(s, t);
	struct ptimer_fault fault;
	int r;

	if (n < 2) {
		mistake(s, origin(s, 0), "'%s' needs a verb: after, at, every, on or cron", t->name);
		return false;
	}
	cli_divert(what, sizeof(what));
	r = ptimer_parse(&t->opts, (int)n - 1, t->words + 1, &line, &fault);
	cli_divert(NULL, 0);
	if (r != CLI_GO)
		timer_mistake(s, t, fault.at, fault.why ? fault.why : what);
	if (r != CLI_GO || !open_zones(s, t) || !named)
		return false;
	warn(s, t);
	return true;
}

/* Room for one more. */
static int reserve_timer(struct ptimer_table *table)
{
	size_t cap = table->cap ? table->cap * 2 : 16;
	struct ptimer_timer **grown;

	if (table->n < table->cap)
		return 0;
	grown = reallocarray(table->timers, cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	table->timers = grown;
	table->cap = cap;
	return 0;
}

/* 0, -EEXIST after it was told, -ENOMEM. */
static int keep_place(const struct source *s, struct ptimer_place *place, const char *name)
{
	struct pcore_map *names = &s->reader->table->names;
	const struct ptimer_place *other;
	int r = pcore_map_insert(names, &place->by_name, name, strlen(name));

	if (r == -EEXIST) {
		other = container_of(pcore_map_find(names, name, strlen(name)), struct ptimer_place, by_name);
		mistake(s, origin(s, 0), "'%s' is there already, in '%s' on line %u", name, other->file, other->line);
	}
	return r;
}

static int keep_timer(const struct source *s, struct ptimer_timer *t)
{
	struct ptimer_table *table = s->reader->table;
	int r = reserve_timer(table);

	if (r == 0)
		r = keep_place(s, &t->place, t->name);
	if (r == 0)
		table->timers[table->n++] = t;
	return r;
}

/* Its place in a block with its name. */
static int keep_name(const struct source *s, const struct ptimer_timer *t)
{
	struct ptimer_table *table = s->reader->table;
	struct ptimer_place *place = malloc(sizeof(*place) + strlen(t->name) + 1);
	int r;

	if (!place)
		return -ENOMEM;
	*place = t->place;
	r = keep_place(s, place, strcpy((char *)(place + 1), t->name));
	if (r < 0) {
		free(place);
		return r;
	}
	place->next = table->places;
	table->places = place;
	return 0;
}

static int add_timer(const struct source *s, size_t n, size_t len)
{
	struct ptimer_timer *t = new_timer(s, n, len);
	bool names_only = s->reader->table->names_only;
	int r = -EINVAL;

	if (!t)
		return -ENOMEM;
	if (read_timer(s, t, n))
		r = names_only ? keep_name(s, t) : keep_timer(s, t);
	if (r < 0 || names_only)
		ptimer_timer_free(t);
	return r == -ENOMEM ? r : 0;
}

/* ---- lines ---- */

static int read_file(struct reader *r, const char *path, bool included);

/* The path of an included file. NULL without memory. */
static char *path_from(const char *from, const char *file)
{
	const char *slash = strrchr(from, '/');
	char *path;

	if (file[0] == '/' || !slash)
		return strdup(file);
	return asprintf(&path, "%.*s/%s", (int)(slash - from), from, file) < 0 ? NULL : path;
}

static int include(const struct source *s, size_t n)
{
	size_t second = strlen("include") + 1;
	const char *file = s->reader->words + second;
	_cleanup_(freep) char *path = NULL;
	int r;

	if (n != 2) {
		mistake(s, origin(s, n < 2 ? 0 : second + strlen(file) + 1), "include takes one file");
		return 0;
	}
	if (s->reader->depth == PTIMER_TABLE_DEPTH_MAX) {
		mistake(s, origin(s, 0), "files are included more than %d deep", PTIMER_TABLE_DEPTH_MAX);
		return 0;
	}
	path = path_from(s->file, file);
	if (!path)
		return -ENOMEM;
	s->reader->depth++;
	r = read_file(s->reader, path, true);
	s->reader->depth--;
	if (r == -EEXIST)
		mistake(s, origin(s, second), "'%s' is read already", path);
	else if (r < 0 && r != -ENOMEM)
		mistake(s, origin(s, second), "cannot read '%s': %s", path, strerror(-r));
	return r == -ENOMEM ? r : 0;
}

/* Scan a line into words. With a mistake there are none. Returns where the next line begins. */
static const char *split(const struct source *s, size_t *ret_n, size_t *ret_len)
{
	struct scan sc = { .p = s->p, .end = s->end };
	char *words = s->reader->words;
	const char *newline;
	size_t n = 0, len = 0;
	int c = WORD_END;

	while (c == WORD_END && next_word(&sc)) {
		do {
			size_t left = (size_t)(sc.end - sc.p), room = PTIMER_TABLE_LINE_MAX - len, run = plain(sc.p, left < room ? left : room);

			memcpy(words + len, sc.p, run);
			len += run;
			sc.p += run;
			c = next_byte(&sc);
			if (c != WRONG && len == PTIMER_TABLE_LINE_MAX)
				c = wrong(&sc, sc.at, "the line is too long");
			if (c != WRONG)
				words[len++] = c == WORD_END ? '\0' : (char)c;
		} while (c >= 0);
		n++;
	}
	if (c == WRONG)
		mistake(s, sc.at, "%s", sc.what);
	*ret_n = c == WRONG ? 0 : n;
	*ret_len = len;
	newline = memchr(sc.p, '\n', (size_t)(s->end - sc.p));
	while (c == WRONG && newline && newline > s->p && newline[-1] == '\\') /* the rest is no line of its own */
		newline = memchr(newline + 1, '\n', (size_t)(s->end - newline - 1));
	return newline ? newline + 1 : s->end;
}

static int read_lines(struct source *s)
{
	int r = 0;

	while (r == 0 && s->p < s->end) {
		size_t n, len;
		const char *next = split(s, &n, &len);

		if (n > 0)
			r = strcmp(s->reader->words, "include") == 0 ? include(s, n) : add_timer(s, n, len);
		s->line += newlines(s->p, next, NULL);
		s->p = next;
	}
	return r;
}

/* ---- files ---- */

/* Remember a file that is read; st: NULL for none. 0, -EEXIST, -ENOMEM. */
static int add_file(struct ptimer_table *t, const char *path, const struct stat *st)
{
	struct ptimer_file *grown;

	for (size_t i = 0; st && i < t->n_files; i++)
		if (t->files[i].ino == st->st_ino && t->files[i].dev == st->st_dev)
			return -EEXIST;
	grown = reallocarray(t->files, t->n_files + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	t->files = grown;
	grown[t->n_files] = (struct ptimer_file){ .path = strdup(path), .dev = st ? st->st_dev : 0, .ino = st ? st->st_ino : 0 };
	if (!grown[t->n_files].path)
		return -ENOMEM;
	t->n_files++;
	return 0;
}

int ptimer_table_load(int fd, struct pcore_buf *b)
{
	enum { STEP = 64 << 10 };
	ssize_t n;
	int r;

	for (;;) {
		r = pcore_buf_reserve(b, STEP);
		if (r < 0)
			return r == -ENOBUFS ? -EFBIG : r;
		n = read(fd, b->data + b->len, STEP);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			b->len += (size_t)n;
	}
}

static int read_text(struct reader *r, const char *text, size_t len)
{
	struct source s = { .reader = r, .file = r->table->files[r->table->n_files - 1].path, .p = text, .end = text + len, .line = 1 };

	return read_lines(&s);
}

static int read_file(struct reader *r, const char *path, bool included)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(PTIMER_TABLE_FILE_MAX);
	_cleanup_(fd_closep) int opened = -EBADF;
	int fd = STDIN_FILENO, e;
	struct stat st;

	if (included || strcmp(path, "-") != 0)
		fd = opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (included ? O_NONBLOCK : 0));
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	e = add_file(r->table, path, &st);
	if (e == 0)
		e = ptimer_table_load(fd, &b);
	return e == 0 && b.len > 0 ? read_text(r, b.data, b.len) : e;
}

int ptimer_table_read(struct ptimer_table *t, const char *path, struct ptimer_zones *zones, ptimer_table_mistake *tell, void *ctx)
{
	struct reader r = { .table = t, .zones = zones, .tell = tell, .ctx = ctx };
	int e = read_file(&r, path, false);

	return e < 0 ? e : r.mistakes;
}

int ptimer_table_parse(struct ptimer_table *t, const char *file, const char *text, size_t len, struct ptimer_zones *zones,
	ptimer_table_mistake *tell, void *ctx)
{
	struct reader r = { .table = t, .zones = zones, .tell = tell, .ctx = ctx, .depth = PTIMER_TABLE_DEPTH_MAX };
	int e = add_file(t, file, NULL);

	if (e == 0)
		e = read_text(&r, text, len);
	return e < 0 ? e : r.mistakes;
}

void ptimer_table_done(struct ptimer_table *t)
{
	struct ptimer_place *next;

	pcore_map_done(&t->names);
	for (struct ptimer_place *place = t->places; place; place = next) {
		next = place->next;
		free(place);
	}
	for (size_t i = 0; i < t->n; i++)
		ptimer_timer_free(t->timers[i]);
	for (size_t i = 0; i < t->n_files; i++)
		free(t->files[i].path);
	free(t->timers);
	free(t->files);
	*t = (struct ptimer_table){ 0 };
}

struct ptimer_timer *ptimer_table_find(const struct ptimer_table *t, const char *name)
{
	struct pcore_map_node *node = pcore_map_find(&t->names, name, strlen(name));

	assert(!t->names_only);

	return node ? container_of(node, struct ptimer_timer, place.by_name) : NULL;
}

bool ptimer_timer_equal(const struct ptimer_timer *a, const struct ptimer_timer *b)
{
	size_t i = 0;

	while (a->words[i] && b->words[i] && strcmp(a->words[i], b->words[i]) == 0)
		i++;
	return !a->words[i] && !b->words[i];
}

int ptimer_table_quote(struct pcore_buf *b, const char *word)
{
	size_t plain = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=@%+,-");
	int r;

	if (word[0] && !word[plain])
		return pcore_buf_adds(b, word);
	if (!strchr(word, '\''))
		return pcore_buf_addf(b, "'%s'", word);
	r = pcore_buf_addc(b, '"');
	for (; *word && r == 0; word++) {
		if (*word == '"' || *word == '\\')
			r = pcore_buf_addc(b, '\\');
		if (r == 0)
			r = pcore_buf_addc(b, *word);
	}
	return r == 0 ? pcore_buf_addc(b, '"') : r;
}
