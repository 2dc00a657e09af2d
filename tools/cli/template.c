/* SPDX-License-Identifier: MIT */
/*
 * template.c - a command with placeholders, compiled to segments.
 *
 * Each word is a run of segments: literal text or one placeholder. In shell mode all words are one,
 * with blanks as text between them. The same functions run twice for each job: first they count
 * words and bytes, then they write.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/template.h"

enum segment_kind {
	SEG_TEXT,
	SEG_ITEM,
	SEG_NO_EXT,
	SEG_BASE,
	SEG_DIR,
	SEG_BASE_NO_EXT,
	SEG_SEQ,
	SEG_SLOT,
};

struct segment {
	enum segment_kind kind;
	const char *text; /* in the caller's words; for SEG_TEXT only */
	size_t len;
};

struct word {
	const struct segment *segments; /* in the template's block */
	size_t n;
};

struct cli_template {
	bool shell, append, command_varies;
	size_t n_words;
	struct word *words; /* owned, with all segments behind it */
};

/* The vector under construction. With argv NULL nothing is written, only counted. */
struct output {
	char **argv, *bytes;
	size_t n_words, n_bytes;
};

static const struct placeholder {
	const char *text;
	enum segment_kind kind;
} placeholders[] = {
	{ "{}", SEG_ITEM },
	{ "{.}", SEG_NO_EXT },
	{ "{/}", SEG_BASE },
	{ "{//}", SEG_DIR },
	{ "{/.}", SEG_BASE_NO_EXT },
	{ "{#}", SEG_SEQ },
	{ "{%}", SEG_SLOT },
};

static const struct placeholder *placeholder_at(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(placeholders); i++)
		if (strncmp(s, placeholders[i].text, strlen(placeholders[i].text)) == 0)
			return &placeholders[i];
	return NULL;
}

static bool is_item(enum segment_kind kind)
{
	switch (kind) {
	case SEG_ITEM:
	case SEG_NO_EXT:
	case SEG_BASE:
	case SEG_DIR:
	case SEG_BASE_NO_EXT:
		return true;
	case SEG_TEXT:
	case SEG_SEQ:
	case SEG_SLOT:
		return false;
	}
	return false;
}

/* Cut a word into segments and return their number; ret NULL only counts. */
static size_t split_word(const char *word, struct segment *ret)
{
	const char *text = word, *s = word;
	size_t n = 0;

	for (;;) {
		const struct placeholder *ph = NULL;

		s += strcspn(s, "{");
		if (*s) {
			ph = placeholder_at(s);
			if (!ph) {
				s++;
				continue;
			}
		}
		if (s > text) {
			if (ret)
				ret[n] = (struct segment){ SEG_TEXT, text, (size_t)(s - text) };
			n++;
		}
		if (!ph)
			return n;
		if (ret)
			ret[n] = (struct segment){ .kind = ph->kind };
		n++;
		s += strlen(ph->text);
		text = s;
	}
}

static void compile(struct cli_template *t, char *const *words, size_t n_words, struct segment *seg)
{
	const struct segment *first = seg;

	for (size_t i = 0; i < n_words; i++) {
		size_t n;

		if (t->shell && i > 0)
			*seg++ = (struct segment){ SEG_TEXT, " ", 1 };
		n = split_word(words[i], seg);
		for (size_t k = 0; k < n; k++) {
			t->append = t->append && !is_item(seg[k].kind);
			t->command_varies =
				t->command_varies || (i == 0 && seg[k].kind != SEG_TEXT);
		}
		if (!t->shell)
			t->words[i] = (struct word){ seg, n };
		seg += n;
	}
	if (t->shell)
		t->words[0] = (struct word){ first, (size_t)(seg - first) };
}

int cli_template_new(struct cli_template **ret, char *const *words, size_t n_words, bool shell)
{
	size_t n_segments = n_words; /* the blanks of shell mode */
	struct cli_template *t;

	for (size_t i = 0; i < n_words; i++)
		n_segments += split_word(words[i], NULL);
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct cli_template){
		.shell = shell,
		.append = true,
		.command_varies = n_words == 0,
		.n_words = shell ? 1 : n_words,
	};
	t->words = malloc((n_words + 1) * sizeof(*t->words) + n_segments * sizeof(struct segment));
	if (!t->words) {
		free(t);
		return -ENOMEM;
	}
	compile(t, words, n_words, (struct segment *)(void *)(t->words + n_words + 1));
	*ret = t;
	return 0;
}

void cli_template_free(struct cli_template *t)
{
	if (!t)
		return;
	free(t->words);
	free(t);
}

bool cli_template_has_item(const struct cli_template *t)
{
	return !t->append;
}

bool cli_template_command_varies(const struct cli_template *t)
{
	return t->command_varies;
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

static struct cli_item item_form(enum segment_kind kind, struct cli_item item)
{
	switch (kind) {
	case SEG_NO_EXT:
		return without_extension(item);
	case SEG_BASE:
		return last_component(item);
	case SEG_DIR:
		return directory(item);
	case SEG_BASE_NO_EXT:
		return without_extension(last_component(item));
	case SEG_ITEM:
	case SEG_TEXT:
	case SEG_SEQ:
	case SEG_SLOT:
		break;
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

static void put_item(const struct cli_template *t, struct output *out, enum segment_kind kind,
	struct cli_item item)
{
	struct cli_item form = item_form(kind, item);

	if (t->shell)
		put_quoted(out, form);
	else
		put(out, form.data, form.len);
}

static void put_number(struct output *out, uint64_t n)
{
	char digits[24];

	put(out, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n));
}

static void put_segment(const struct cli_template *t, struct output *out, const struct segment *seg,
	const struct cli_template_args *args)
{
	if (seg->kind == SEG_TEXT) {
		put(out, seg->text, seg->len);
	} else if (seg->kind == SEG_SEQ) {
		put_number(out, args->seq);
	} else if (seg->kind == SEG_SLOT) {
		put_number(out, args->slot);
	} else {
		for (size_t i = 0; i < args->n_items; i++) {
			if (i > 0)
				put(out, " ", 1);
			put_item(t, out, seg->kind, args->items[i]);
		}
	}
}

/* Each item as a word of its own. */
static void put_item_words(const struct cli_template *t, struct output *out, enum segment_kind kind,
	const struct cli_template_args *args)
{
	for (size_t i = 0; i < args->n_items; i++) {
		begin_word(out);
		put_item(t, out, kind, args->items[i]);
		end_word(out);
	}
}

static void put_word(const struct cli_template *t, struct output *out, const struct word *w,
	const struct cli_template_args *args)
{
	if (w->n == 1 && is_item(w->segments[0].kind)) {
		put_item_words(t, out, w->segments[0].kind, args);
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

static void put_shell(
	const struct cli_template *t, struct output *out, const struct cli_template_args *args)
{
	const struct word *text = &t->words[0];

	put_text_word(out, "/bin/sh");
	put_text_word(out, "-c");
	begin_word(out);
	for (size_t i = 0; i < text->n; i++)
		put_segment(t, out, &text->segments[i], args);
	for (size_t i = 0; t->append && i < args->n_items; i++) {
		put(out, " ", 1);
		put_item(t, out, SEG_ITEM, args->items[i]);
	}
	end_word(out);
}

static void put_all(
	const struct cli_template *t, struct output *out, const struct cli_template_args *args)
{
	if (t->shell) {
		put_shell(t, out, args);
		return;
	}
	for (size_t i = 0; i < t->n_words; i++)
		put_word(t, out, &t->words[i], args);
	if (t->append)
		put_item_words(t, out, SEG_ITEM, args);
}

int cli_template_expand(
	const struct cli_template *t, const struct cli_template_args *args, char ***ret_argv)
{
	struct output size = { 0 }, out = { 0 };
	size_t pointers, total;

	put_all(t, &size, args);
	pointers = (size.n_words + 1) * sizeof(char *);
	if (__builtin_add_overflow(pointers, size.n_bytes, &total))
		return -ENOMEM;
	out.argv = malloc(total);
	if (!out.argv)
		return -ENOMEM;
	out.bytes = (char *)out.argv + pointers;
	put_all(t, &out, args);
	assert(out.n_words == size.n_words);
	assert(out.n_bytes == size.n_bytes);
	out.argv[out.n_words] = NULL;
	*ret_argv = out.argv;
	return 0;
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
