/* SPDX-License-Identifier: MIT */
/*
 * template.c - a command with placeholders, compiled to segments.
 *
 * Each word is a run of segments: literal text or one placeholder. In shell mode all words are one,
 * with blanks as text between them. The same functions run twice for each job: first they count
 * words and bytes, then they write.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/template.h"

enum segment_kind { SEG_TEXT, SEG_ITEM, SEG_COLUMN, SEG_NAME, SEG_SEQ, SEG_SLOT };

enum form { FORM_WHOLE, FORM_NO_EXT, FORM_BASE, FORM_DIR, FORM_BASE_NO_EXT };

struct segment {
	enum segment_kind kind;
	enum form form;
	const char *text; /* in the caller's words: the text, or what stands in the braces */
	size_t len;
	int column; /* from 1, or from -1 backwards */
};

struct word {
	struct segment *segments; /* in the template's block */
	size_t n;
};

struct cli_template {
	unsigned flags;
	bool append, command_varies;
	size_t n_words;
	struct word *words; /* owned, with all segments behind it */
};

/* The vector under construction. With argv NULL nothing is written, only counted. */
struct output {
	char **argv, *bytes;
	size_t n_words, n_bytes;
};

/* Where a suffix is the end of another one, the longer stands first. */
static const struct form_suffix {
	const char *text;
	enum form form;
} suffixes[] = {
	{ "//", FORM_DIR },
	{ "/.", FORM_BASE_NO_EXT },
	{ "/", FORM_BASE },
	{ ".", FORM_NO_EXT },
	{ "", FORM_WHOLE },
};

static bool equals(const char *s, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(s, text, len) == 0;
}

static bool parse_form(const char *s, size_t len, enum form *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (equals(s, len, suffixes[i].text)) {
			*ret = suffixes[i].form;
			return true;
		}
	}
	return false;
}

/* "2", "-1", "2/." of these; numbers that no line has columns for are all the same. */
static bool parse_column(const char *s, size_t len, struct segment *seg)
{
	bool last = len > 0 && s[0] == '-';
	size_t i = last, digits = strspn(s + last, "0123456789");
	int n = 0;

	for (; i < last + digits; i++)
		n = n < 100000000 ? n * 10 + s[i] - '0' : n;
	seg->column = last ? -n : n;
	return digits > 0 && parse_form(s + i, len - i, &seg->form);
}

/* What stands at an opening brace: its length and *ret, or 0 for ordinary text. */
static size_t placeholder_at(unsigned flags, const char *s, struct segment *ret)
{
	const char *inner = s + 1;
	size_t len = strcspn(inner, "{}");

	if (inner[len] != '}')
		return 0;
	*ret = (struct segment){ .text = inner, .len = len };
	if (parse_form(inner, len, &ret->form))
		ret->kind = SEG_ITEM;
	else if (equals(inner, len, "#"))
		ret->kind = SEG_SEQ;
	else if (equals(inner, len, "%"))
		ret->kind = SEG_SLOT;
	else if ((flags & CLI_TEMPLATE_NUMBERS) && parse_column(inner, len, ret))
		ret->kind = SEG_COLUMN;
	else if (flags & CLI_TEMPLATE_NAMES)
		ret->kind = SEG_NAME;
	else
		return 0;
	return len + 2;
}

/* Cut a word into segments and return their number; ret NULL only counts. */
static size_t split_word(unsigned flags, const char *word, struct segment *ret)
{
	const char *text = word, *s = word;
	size_t n = 0;

	for (;;) {
		struct segment seg;
		size_t len = 0;

		s += strcspn(s, "{");
		if (*s) {
			len = placeholder_at(flags, s, &seg);
			if (len == 0) {
				s++;
				continue;
			}
		}
		if (s > text) {
			if (ret)
				ret[n] = (struct segment){ .kind = SEG_TEXT, .text = text, .len = (size_t)(s - text) };
			n++;
		}
		if (len == 0)
			return n;
		if (ret)
			ret[n] = seg;
		n++;
		s += len;
		text = s;
	}
}

/* A placeholder says where items or columns go, so that none is appended. */
static bool places(enum segment_kind kind)
{
	return kind == SEG_ITEM || kind == SEG_COLUMN;
}

static int compile(struct cli_template *t, char *const *words, size_t n_words, struct segment *seg)
{
	bool shell = t->flags & CLI_TEMPLATE_SHELL;
	struct segment *first = seg;

	for (size_t i = 0; i < n_words; i++) {
		size_t n;

		if (shell && i > 0)
			*seg++ = (struct segment){ .kind = SEG_TEXT, .text = " ", .len = 1 };
		n = split_word(t->flags, words[i], seg);
		for (size_t k = 0; k < n; k++) {
			if (seg[k].kind == SEG_COLUMN && seg[k].column == 0)
				return -EDOM;
			t->append = t->append && !places(seg[k].kind);
			t->command_varies = t->command_varies || (i == 0 && seg[k].kind != SEG_TEXT);
		}
		if (!shell)
			t->words[i] = (struct word){ seg, n };
		seg += n;
	}
	if (shell)
		t->words[0] = (struct word){ first, (size_t)(seg - first) };
	return 0;
}

int cli_template_new(struct cli_template **ret, char *const *words, size_t n_words, unsigned flags)
{
	size_t n_segments = n_words; /* the blanks of shell mode */
	struct cli_template *t;
	int r;

	for (size_t i = 0; i < n_words; i++)
		n_segments += split_word(flags, words[i], NULL);
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct cli_template){
		.flags = flags,
		.append = true,
		.command_varies = n_words == 0,
		.n_words = flags & CLI_TEMPLATE_SHELL ? 1 : n_words,
	};
	t->words = malloc((n_words + 1) * sizeof(*t->words) + n_segments * sizeof(struct segment));
	r = t->words ? compile(t, words, n_words, (struct segment *)(void *)(t->words + n_words + 1)) : -ENOMEM;
	if (r < 0) {
		cli_template_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

/* Of a name the only column, 0 when there is none, -ENOTUNIQ. */
static int find_name(const char *s, size_t len, const struct cli_item *names, size_t n_names)
{
	int column = 0;

	for (size_t i = 0; i < n_names; i++) {
		if (names[i].len != len || memcmp(names[i].data, s, len) != 0)
			continue;
		if (column)
			return -ENOTUNIQ;
		column = (int)i + 1;
	}
	return column;
}

/* The whole of it may be a name, or all but the suffix of a form. */
static int find_column(struct segment *seg, const struct cli_item *names, size_t n_names)
{
	int column = find_name(seg->text, seg->len, names, n_names);

	seg->form = FORM_WHOLE;
	for (size_t i = 0; column == 0 && i < ARRAY_SIZE(suffixes); i++) {
		size_t len = strlen(suffixes[i].text);

		if (len >= seg->len || !equals(seg->text + seg->len - len, len, suffixes[i].text))
			continue;
		column = find_name(seg->text, seg->len - len, names, n_names);
		seg->form = suffixes[i].form;
	}
	return column;
}

static bool is_word(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./", s[i]) && !(s[i] & 0x80))
			return false;
	return true;
}

static int bind_segment(struct segment *seg, const struct cli_item *names, size_t n_names)
{
	struct segment named = *seg;
	int column = find_column(&named, names, n_names);

	if (column < 0)
		return column;
	if (column > 0) {
		seg->kind = SEG_COLUMN;
		seg->column = column;
		seg->form = named.form;
	} else if (seg->kind == SEG_NAME && is_word(seg->text, seg->len)) {
		return -ENOENT;
	} else if (seg->kind == SEG_NAME) {
		*seg = (struct segment){ .kind = SEG_TEXT, .text = seg->text - 1, .len = seg->len + 2 };
	}
	return 0;
}

int cli_template_bind(struct cli_template *t, const struct cli_item *names, size_t n_names, struct cli_item *ret_bad)
{
	assert(t->flags & CLI_TEMPLATE_NAMES);

	for (size_t i = 0; i < t->n_words; i++) {
		for (size_t k = 0; k < t->words[i].n; k++) {
			struct segment *seg = &t->words[i].segments[k];
			int r = 0;

			if (seg->kind == SEG_NAME || (seg->kind == SEG_COLUMN && (size_t)abs(seg->column) > n_names))
				r = bind_segment(seg, names, n_names);
			if (r < 0) {
				*ret_bad = (struct cli_item){ seg->text, seg->len };
				return r;
			}
			t->append = t->append && !places(seg->kind);
		}
	}
	return 0;
}

void cli_template_free(struct cli_template *t)
{
	if (!t)
		return;
	free(t->words);
	free(t);
}

bool cli_template_command_varies(const struct cli_template *t)
{
	return t->command_varies;
}

bool cli_template_takes_items(const struct cli_template *t)
{
	return !t->append;
}

bool cli_template_has_item(const struct cli_template *t)
{
	for (size_t i = 0; i < t->n_words; i++)
		for (size_t k = 0; k < t->words[i].n; k++)
			if (t->words[i].segments[k].kind == SEG_ITEM)
				return true;
	return false;
}

/* What follows the last slash; a path that ends in slashes is taken without them, but "/" stays. */
static struct cli_item last_component(struct cli_item path)
{
	const char *slash;

	while (path.len > 1 && path.data[path.len - 1] == '/')
		path.len--;
	if (path.len <= 1)
		return path;
	slash = memrchr(path.data, '/', path.len);
	if (!slash)
		return path;
	return (struct cli_item){ slash + 1, path.len - (size_t)(slash + 1 - path.data) };
}

static struct cli_item directory(struct cli_item path)
{
	struct cli_item last = last_component(path);
	size_t len = path.len ? (size_t)(last.data - path.data) : 0;

	if (path.len == 0)
		return path;
	if (len == 0)
		return (struct cli_item){ path.data[0] == '/' ? "/" : ".", 1 };
	while (len > 1 && path.data[len - 1] == '/')
		len--;
	return (struct cli_item){ path.data, len };
}

/* A dot at the beginning of the last component begins no extension, nor do the dots that follow it.
 */
static struct cli_item without_extension(struct cli_item path)
{
	const char *slash = path.len ? memrchr(path.data, '/', path.len) : NULL, *dot;
	size_t name = slash ? (size_t)(slash + 1 - path.data) : 0;

	while (name < path.len && path.data[name] == '.')
		name++;
	dot = name < path.len ? memrchr(path.data + name, '.', path.len - name) : NULL;
	return (struct cli_item){ path.data, dot ? (size_t)(dot - path.data) : path.len };
}

static struct cli_item item_form(enum form form, struct cli_item item)
{
	switch (form) {
	case FORM_WHOLE:
		break;
	case FORM_NO_EXT:
		return without_extension(item);
	case FORM_BASE:
		return last_component(item);
	case FORM_DIR:
		return directory(item);
	case FORM_BASE_NO_EXT:
		return without_extension(last_component(item));
	}
	return item;
}

static void put(struct output *out, const char *data, size_t len)
{
	if (out->argv && len > 0)
		memcpy(out->bytes + out->n_bytes, data, len);
	if (__builtin_add_overflow(out->n_bytes, len, &out->n_bytes))
		out->n_bytes = SIZE_MAX;
}

static void begin_word(struct output *out)
{
	if (out->argv)
		out->argv[out->n_words] = out->bytes + out->n_bytes;
	out->n_words++;
}

static void end_word(struct output *out)
{
	put(out, "", 1);
}

/* The shell reads 'it'\''s' as it's. */
static void put_quoted(struct output *out, struct cli_item item)
{
	const char *quote;

	put(out, "'", 1);
	while (item.len > 0 && (quote = memchr(item.data, '\'', item.len))) {
		size_t len = (size_t)(quote - item.data);

		put(out, item.data, len);
		put(out, "'\\''", 4);
		item.data = quote + 1;
		item.len -= len + 1;
	}
	put(out, item.data, item.len);
	put(out, "'", 1);
}

static void put_item(const struct cli_template *t, struct output *out, enum form form, struct cli_item item)
{
	struct cli_item text = item_form(form, item);

	if (t->flags & CLI_TEMPLATE_SHELL)
		put_quoted(out, text);
	else
		put(out, text.data, text.len);
}

static void put_number(struct output *out, uint64_t n)
{
	char digits[24];

	put(out, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n));
}

static struct cli_item column(const struct cli_template_args *args, int n)
{
	size_t i = n > 0 ? (size_t)n : args->n_columns + 1 - (size_t)-n;

	/* Counted from the end it may have wrapped around. */
	return i >= 1 && i <= args->n_columns ? args->columns[i - 1] : (struct cli_item){ "", 0 };
}

static void put_segment(const struct cli_template *t, struct output *out, const struct segment *seg,
	const struct cli_template_args *args)
{
	switch (seg->kind) {
	case SEG_TEXT:
		put(out, seg->text, seg->len);
		break;
	case SEG_SEQ:
		put_number(out, args->seq);
		break;
	case SEG_SLOT:
		if (args->slot)
			put_number(out, args->slot);
		else
			put(out, "{%}", 3);
		break;
	case SEG_COLUMN:
		put_item(t, out, seg->form, column(args, seg->column));
		break;
	case SEG_ITEM:
		for (size_t i = 0; i < args->n_items; i++) {
			if (i > 0)
				put(out, " ", 1);
			put_item(t, out, seg->form, args->items[i]);
		}
		break;
	case SEG_NAME:
		assert(seg->kind != SEG_NAME);
	}
}

/* Each item as a word of its own. */
static void put_item_words(const struct cli_template *t, struct output *out, enum form form,
	const struct cli_item *items, size_t n_items)
{
	for (size_t i = 0; i < n_items; i++) {
		begin_word(out);
		put_item(t, out, form, items[i]);
		end_word(out);
	}
}

static void put_word(const struct cli_template *t, struct output *out, const struct word *w,
	const struct cli_template_args *args)
{
	if (w->n == 1 && w->segments[0].kind == SEG_ITEM) {
		put_item_words(t, out, w->segments[0].form, args->items, args->n_items);
		return;
	}
	begin_word(out);
	for (size_t i = 0; i < w->n; i++)
		put_segment(t, out, &w->segments[i], args);
	end_word(out);
}

static void put_text_word(struct output *out, const char *text)
{
	begin_word(out);
	put(out, text, strlen(text));
	end_word(out);
}

/* In the shell's text each is preceded by a blank. */
static void put_blank_items(const struct cli_template *t, struct output *out, const struct cli_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		put(out, " ", 1);
		put_item(t, out, FORM_WHOLE, items[i]);
	}
}

static void put_shell(const struct cli_template *t, struct output *out, const struct cli_template_args *args,
	const struct cli_item *appended, size_t n_appended)
{
	const struct word *text = &t->words[0];

	put_text_word(out, "/bin/sh");
	put_text_word(out, "-c");
	begin_word(out);
	for (size_t i = 0; i < text->n; i++)
		put_segment(t, out, &text->segments[i], args);
	put_blank_items(t, out, appended, n_appended);
	end_word(out);
}

static void put_all(const struct cli_template *t, struct output *out, const struct cli_template_args *args)
{
	const struct cli_item *appended = args->columns ? args->columns : args->items;
	size_t n_appended = args->columns ? args->n_columns : args->n_items;

	if (!t->append)
		n_appended = 0;
	if (t->flags & CLI_TEMPLATE_SHELL) {
		put_shell(t, out, args, appended, n_appended);
		return;
	}
	for (size_t i = 0; i < t->n_words; i++)
		put_word(t, out, &t->words[i], args);
	put_item_words(t, out, FORM_WHOLE, appended, n_appended);
}

/* What put_words() puts, in one block. */
static int build(const struct cli_template *t, const struct cli_template_args *args,
	void (*put_words)(const struct cli_template *t, struct output *out, const struct cli_template_args *args), char ***ret)
{
	struct output size = { 0 }, out = { 0 };
	size_t pointers, total;

	put_words(t, &size, args);
	pointers = (size.n_words + 1) * sizeof(char *);
	if (__builtin_add_overflow(pointers, size.n_bytes, &total))
		return -ENOMEM;
	out.argv = malloc(total);
	if (!out.argv)
		return -ENOMEM;
	out.bytes = (char *)out.argv + pointers;
	put_words(t, &out, args);
	assert(out.n_words == size.n_words);
	assert(out.n_bytes == size.n_bytes);
	out.argv[out.n_words] = NULL;
	*ret = out.argv;
	return 0;
}

int cli_template_expand(
	const struct cli_template *t, const struct cli_template_args *args, char ***ret_argv)
{
	return build(t, args, put_all, ret_argv);
}

/* Is the word one for each item, where there can be many? */
static bool is_rest(const struct cli_template *t, const struct word *w, bool many)
{
	return many && !(t->flags & CLI_TEMPLATE_SHELL) && w->n == 1 && w->segments[0].kind == SEG_ITEM;
}

/* How many arguments stand before the REST, and how many words are one. */
static size_t count_arguments(const struct cli_template *t, bool many, size_t *ret_rests)
{
	bool shell = t->flags & CLI_TEMPLATE_SHELL;
	size_t n = shell && t->append ? 1 : 0;

	*ret_rests = !shell && t->append ? 1 : 0;
	for (size_t i = 0; i < t->n_words; i++) {
		const struct word *w = &t->words[i];

		if (is_rest(t, w, many)) {
			++*ret_rests;
			continue;
		}
		for (size_t k = 0; k < w->n; k++)
			n += places(w->segments[k].kind);
	}
	return n;
}

struct parts {
	int (*part)(void *ctx, enum cli_template_part kind, size_t n, const char *text, size_t len);
	void *ctx;
	size_t n; /* arguments so far */
};

static int tell_segment(struct parts *p, const struct segment *seg)
{
	switch (seg->kind) {
	case SEG_TEXT: return p->part(p->ctx, CLI_PART_TEXT, 0, seg->text, seg->len);
	case SEG_SEQ: return p->part(p->ctx, CLI_PART_SEQ, 0, NULL, 0);
	case SEG_SLOT: return p->part(p->ctx, CLI_PART_SLOT, 0, NULL, 0);
	case SEG_COLUMN:
	case SEG_ITEM: return p->part(p->ctx, CLI_PART_ARG, p->n++, NULL, 0);
	case SEG_NAME: break;
	}
	assert(seg->kind != SEG_NAME);
	return 0;
}

static int tell_end(struct parts *p)
{
	return p->part(p->ctx, CLI_PART_END, 0, NULL, 0);
}

static int tell_text(struct parts *p, const char *text)
{
	int r = p->part(p->ctx, CLI_PART_TEXT, 0, text, strlen(text));

	return r < 0 ? r : tell_end(p);
}

static int tell_rest(struct parts *p, size_t first)
{
	int r = p->part(p->ctx, CLI_PART_REST, first, NULL, 0);

	return r < 0 ? r : tell_end(p);
}

int cli_template_parts(const struct cli_template *t, bool many,
	int (*part)(void *ctx, enum cli_template_part kind, size_t n, const char *text, size_t len), void *ctx)
{
	struct parts p = { .part = part, .ctx = ctx };
	bool shell = t->flags & CLI_TEMPLATE_SHELL;
	size_t rests = 0, first = count_arguments(t, many, &rests);
	int r = 0;

	if (rests > 1)
		return -EOPNOTSUPP;
	if (shell)
		r = tell_text(&p, "/bin/sh");
	if (shell && r == 0)
		r = tell_text(&p, "-c");
	for (size_t i = 0; i < t->n_words && r == 0; i++) {
		if (is_rest(t, &t->words[i], many)) {
			r = tell_rest(&p, first);
			continue;
		}
		for (size_t k = 0; k < t->words[i].n && r == 0; k++)
			r = tell_segment(&p, &t->words[i].segments[k]);
		if (r == 0 && shell && t->append)
			r = p.part(ctx, CLI_PART_ARG, p.n++, NULL, 0);
		if (r == 0)
			r = tell_end(&p);
	}
	return r == 0 && t->append && !shell ? tell_rest(&p, first) : r;
}

static void put_arguments(const struct cli_template *t, struct output *out, const struct cli_template_args *args, bool many)
{
	const struct cli_item *appended = args->columns ? args->columns : args->items;
	size_t n_appended = args->columns ? args->n_columns : args->n_items;
	const struct word *rest = NULL;

	for (size_t i = 0; i < t->n_words; i++) {
		const struct word *w = &t->words[i];

		if (is_rest(t, w, many))
			rest = w;
		for (size_t k = 0; k < w->n && rest != w; k++) {
			if (!places(w->segments[k].kind))
				continue;
			begin_word(out);
			put_segment(t, out, &w->segments[k], args);
			end_word(out);
		}
	}
	if (rest)
		put_item_words(t, out, rest->segments[0].form, args->items, args->n_items);
	else if (t->append && !(t->flags & CLI_TEMPLATE_SHELL))
		put_item_words(t, out, FORM_WHOLE, appended, n_appended);
	if (!t->append || !(t->flags & CLI_TEMPLATE_SHELL))
		return;
	begin_word(out);
	put_blank_items(t, out, appended, n_appended);
	end_word(out);
}

static void put_arguments_of_many(const struct cli_template *t, struct output *out, const struct cli_template_args *args)
{
	put_arguments(t, out, args, true);
}

static void put_arguments_of_one(const struct cli_template *t, struct output *out, const struct cli_template_args *args)
{
	put_arguments(t, out, args, false);
}

int cli_template_arguments(const struct cli_template *t, bool many, const struct cli_template_args *args, char ***ret_args)
{
	return build(t, args, many ? put_arguments_of_many : put_arguments_of_one, ret_args);
}

/* Only the words that join items grow with each one; lens has what each takes so far, with its NUL. */
struct cli_fill {
	const struct cli_template *t;
	size_t room, string_max;
	size_t n_items, used;
	size_t *grown; /* by the item that is being added */
	size_t lens[];
};

int cli_fill_new(struct cli_fill **ret, const struct cli_template *t, size_t room, size_t string_max)
{
	struct cli_fill *f = malloc(sizeof(*f) + 2 * t->n_words * sizeof(f->lens[0]));

	assert(!(t->flags & CLI_TEMPLATE_NUMBERS));

	if (!f)
		return -ENOMEM;
	*f = (struct cli_fill){ .t = t, .room = room, .string_max = string_max, .grown = f->lens + t->n_words };
	cli_fill_begin(f);
	*ret = f;
	return 0;
}

void cli_fill_free(struct cli_fill *f)
{
	free(f);
}

static size_t vector_size(const struct output *out)
{
	return out->n_bytes + out->n_words * sizeof(char *);
}

/* The longest numbers are reckoned with. */
static struct cli_template_args fill_args(const struct cli_item *items, size_t n)
{
	return (struct cli_template_args){ .items = items, .n_items = n, .seq = UINT64_MAX, .slot = UINT_MAX };
}

void cli_fill_begin(struct cli_fill *f)
{
	struct cli_template_args args = fill_args(NULL, 0);
	struct output all = { 0 };

	put_all(f->t, &all, &args);
	f->n_items = 0;
	f->used = vector_size(&all);
	for (size_t i = 0; i < f->t->n_words; i++) {
		struct output out = { 0 };

		for (size_t k = 0; k < f->t->words[i].n; k++)
			put_segment(f->t, &out, &f->t->words[i].segments[k], &args);
		f->lens[i] = out.n_bytes + 1;
	}
}

/* The bytes that one more item adds to a word that joins them. */
static size_t growth(const struct cli_fill *f, const struct word *w, struct cli_item item)
{
	const struct cli_template *t = f->t;
	struct output out = { 0 };

	for (size_t k = 0; k < w->n; k++) {
		if (w->segments[k].kind != SEG_ITEM)
			continue;
		if (f->n_items > 0)
			put(&out, " ", 1);
		put_item(t, &out, w->segments[k].form, item);
	}
	if (t->append && (t->flags & CLI_TEMPLATE_SHELL)) {
		put(&out, " ", 1);
		put_item(t, &out, FORM_WHOLE, item);
	}
	return out.n_bytes;
}

bool cli_fill_add(struct cli_fill *f, struct cli_item item)
{
	const struct cli_template *t = f->t;
	bool shell = t->flags & CLI_TEMPLATE_SHELL;
	size_t longest = 0, used = f->used;
	struct output words = { 0 };

	for (size_t i = 0; i < t->n_words; i++) {
		const struct word *w = &t->words[i];

		f->grown[i] = 0;
		if (!shell && w->n == 1 && w->segments[0].kind == SEG_ITEM) {
			put_item_words(t, &words, w->segments[0].form, &item, 1);
			longest = longest > item.len + 1 ? longest : item.len + 1; /* no form is longer */
			continue;
		}
		f->grown[i] = growth(f, w, item);
		used += f->grown[i];
		if (f->lens[i] + f->grown[i] > longest)
			longest = f->lens[i] + f->grown[i];
	}
	if (t->append && !shell) {
		put_item_words(t, &words, FORM_WHOLE, &item, 1);
		longest = longest > item.len + 1 ? longest : item.len + 1;
	}
	used += vector_size(&words);
	if (used > f->room || longest > f->string_max)
		return false;

	for (size_t i = 0; i < t->n_words; i++)
		f->lens[i] += f->grown[i];
	f->used = used;
	f->n_items++;
	return true;
}

/* Not '=' in the first word, where the shell would see an assignment. */
static bool needs_quotes(const char *word, bool first)
{
	static const char safe[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./-=";

	return !*word || word[strspn(word, safe)] || (first && strchr(word, '='));
}

static int add_quoted(struct pcore_buf *b, const char *word)
{
	int r = pcore_buf_addc(b, '\'');

	for (; r == 0 && *word; word++)
		r = *word == '\'' ? pcore_buf_adds(b, "'\\''") : pcore_buf_addc(b, *word);
	return r < 0 ? r : pcore_buf_addc(b, '\'');
}

int cli_shell_words(struct pcore_buf *b, char *const *argv)
{
	int r = 0;

	for (size_t i = 0; r == 0 && argv[i]; i++) {
		if (i > 0)
			r = pcore_buf_addc(b, ' ');
		if (r < 0)
			return r;
		r = needs_quotes(argv[i], i == 0) ? add_quoted(b, argv[i])
						  : pcore_buf_adds(b, argv[i]);
	}
	return r;
}
