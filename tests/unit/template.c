/* SPDX-License-Identifier: MIT */
/*
 * template.c - tests of tools/cli/template.c.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support.h"
#include "tools/cli/template.h"

#define WORDS(...) ((char **)(const char *[]){ __VA_ARGS__, NULL })

static size_t count(char *const *words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

/* The vector for these items, job 7 in slot 3. */
static char **expand(char *const *words, bool shell, char *const *items)
{
	struct cli_item list[16];
	struct cli_template_args args = {
		.items = list, .n_items = count(items), .seq = 7, .slot = 3
	};
	struct cli_template *t = NULL;
	char **argv = NULL;

	for (size_t i = 0; i < args.n_items; i++)
		list[i] = (struct cli_item){ items[i], strlen(items[i]) };
	assert_int_equal(cli_template_new(&t, words, count(words), shell), 0);
	assert_int_equal(cli_template_expand(t, &args, &argv), 0);
	cli_template_free(t);
	return argv;
}

static void expect(char *const *words, char *const *items, char *const *expected)
{
	char **argv = expand(words, false, items);

	assert_int_equal(count(argv), count(expected));
	for (size_t i = 0; expected[i]; i++)
		assert_string_equal(argv[i], expected[i]);
	free(argv);
}

static void expect_shell(char *const *words, char *const *items, const char *text)
{
	char **argv = expand(words, true, items);

	assert_int_equal(count(argv), 3);
	assert_string_equal(argv[0], "/bin/sh");
	assert_string_equal(argv[1], "-c");
	assert_string_equal(argv[2], text);
	free(argv);
}

static void an_item_is_appended_without_a_placeholder(void **state)
{
	(void)state;
	expect(WORDS("echo"), WORDS("a b  c"), WORDS("echo", "a b  c"));
	expect(WORDS("echo", "-n"), WORDS("x", "", "--help"),
		WORDS("echo", "-n", "x", "", "--help"));
	expect(WORDS("echo"), WORDS("it's \"q\" \\back $HOME `id` *"),
		WORDS("echo", "it's \"q\" \\back $HOME `id` *"));
}

static void a_placeholder_stands_anywhere_and_repeatedly(void **state)
{
	(void)state;
	expect(WORDS("echo", "{}", "{}-{}"), WORDS("x"), WORDS("echo", "x", "x-x"));
	expect(WORDS("a{}b{}c"), WORDS("-"), WORDS("a-b-c"));
	expect(WORDS("{}", "", "{}"), WORDS("ls"), WORDS("ls", "", "ls"));
}

static void what_is_put_in_is_never_scanned_again(void **state)
{
	(void)state;
	expect(WORDS("echo", "{}", "x{}", "{.}"), WORDS("a{}b{#}.{/}"),
		WORDS("echo", "a{}b{#}.{/}", "xa{}b{#}.{/}", "a{}b{#}.{/}"));
}

static void unknown_braces_are_text(void **state)
{
	(void)state;
	expect(WORDS("{x}", "{", "}", "{}}", "{{}", "{{.}}", "{/", "{//", "{#", "{1}"), WORDS("i"),
		WORDS("{x}", "{", "}", "i}", "{i", "{i}", "{/", "{//", "{#", "{1}"));
}

static void number_and_slot_do_not_place_the_item(void **state)
{
	(void)state;
	expect(WORDS("echo", "{#}", "s{%}", "{#}{%}"), WORDS("x"),
		WORDS("echo", "7", "s3", "73", "x"));
	expect(WORDS("echo", "{#}:{}"), WORDS("x"), WORDS("echo", "7:x"));
}

static void without_a_slot_its_placeholder_stays(void **state)
{
	char *const *words = WORDS("echo", "{%}:{#}", "{}");
	struct cli_item item = { "x", 1 };
	struct cli_template_args args = { .items = &item, .n_items = 1, .seq = 7 };
	struct cli_template *t = NULL;
	char **argv = NULL;

	(void)state;
	assert_int_equal(cli_template_new(&t, words, 3, false), 0);
	assert_int_equal(cli_template_expand(t, &args, &argv), 0);
	assert_string_equal(argv[1], "{%}:7");
	assert_string_equal(argv[2], "x");
	free(argv);
	cli_template_free(t);
}

static void several_items_become_words_or_are_joined_by_blanks(void **state)
{
	(void)state;
	expect(WORDS("echo", "{}", "<{}>", "{/}", "{#}"), WORDS("d/a", "b"),
		WORDS("echo", "d/a", "b", "<d/a b>", "a", "b", "7"));
	expect(WORDS("echo"), WORDS("a", "b"), WORDS("echo", "a", "b"));
}

static void no_item_leaves_nothing(void **state)
{
	char *none[] = { NULL };

	(void)state;
	expect(WORDS("echo", "{}", "<{}>"), none, WORDS("echo", "<>"));
	expect(WORDS("echo"), none, WORDS("echo"));
	expect(none, WORDS("ls", "-l"), WORDS("ls", "-l"));
}

static void path_forms_follow_the_table(void **state)
{
	static const struct {
		const char *item, *no_ext, *base, *dir, *base_no_ext;
	} cases[] = {
		{ "a/b.c/d.tar.gz", "a/b.c/d.tar", "d.tar.gz", "a/b.c", "d.tar" },
		{ "noext", "noext", "noext", ".", "noext" },
		{ "dir.x/f", "dir.x/f", "f", "dir.x", "f" },
		{ "/abs", "/abs", "abs", "/", "abs" },
		{ "/abs.c", "/abs", "abs.c", "/", "abs" },
		{ ".hidden", ".hidden", ".hidden", ".", ".hidden" },
		{ "d/.hidden", "d/.hidden", ".hidden", "d", ".hidden" },
		{ ".hidden.c", ".hidden", ".hidden.c", ".", ".hidden" },
		{ "", "", "", "", "" },
		{ "/", "/", "/", "/", "/" },
		{ "//", "//", "/", "/", "/" },
		{ "..", "..", "..", ".", ".." },
		{ "../x.y", "../x", "x.y", "..", "x" },
		{ "a/b.d/", "a/b.d/", "b.d", "a", "b" },
		{ "a//b", "a//b", "b", "a", "b" },
		{ "f.", "f", "f.", ".", "f" },
		{ "\xff/\xc3.x", "\xff/\xc3", "\xc3.x", "\xff", "\xc3" },
		{ "new\nline.c", "new\nline", "new\nline.c", ".", "new\nline" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char **argv =
			expand(WORDS("{.}", "{/}", "{//}", "{/.}"), false, WORDS(cases[i].item));

		assert_int_equal(count(argv), 4);
		assert_string_equal(argv[0], cases[i].no_ext);
		assert_string_equal(argv[1], cases[i].base);
		assert_string_equal(argv[2], cases[i].dir);
		assert_string_equal(argv[3], cases[i].base_no_ext);
		free(argv);
	}
}

static void shell_mode_quotes_items_and_nothing_else(void **state)
{
	(void)state;
	expect_shell(WORDS("echo {} | wc", "-c"), WORDS("a b"), "echo 'a b' | wc -c");
	expect_shell(WORDS("echo"), WORDS("it's", "-n", ""), "echo 'it'\\''s' '-n' ''");
	expect_shell(WORDS("echo {#}", "$X"), WORDS("x"), "echo 7 $X 'x'");
	expect_shell(
		WORDS("cat", "pre{.}post{}"), WORDS("a.c", "b.d"), "cat pre'a' 'b'post'a.c' 'b.d'");
	expect_shell(WORDS("echo", "{}"), WORDS("'"), "echo ''\\'''");
	expect_shell(WORDS("{"), WORDS("{}"), "{ '{}'");
}

/* What text prints when it is a program, through the real shell. */
static void expect_output(const char *text, const char *expected)
{
	char out[512] = "";
	FILE *f = popen(text, "re");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	assert_int_equal(pclose(f), 0);
	assert_int_equal(n, strlen(expected));
	assert_string_equal(out, expected);
}

static const char *const hostile[] = {
	"'",
	"''",
	"a'b'c",
	"$(exit 9)",
	"`exit 9`",
	"; exit 9",
	"-n",
	"*",
	"\\",
	"\\'",
	"a\nb",
	"\r\t",
	"\"",
	"!!",
	"#x",
	"~",
	"a=b",
	"\xff\xfe",
	"",
	" ",
	"{}",
	"&",
	"<(x)",
	"|",
	"\x01",
};

static void the_shell_sees_each_item_as_one_exact_word(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		char **argv = expand(WORDS("printf '%s,%s' {} x{}"), true, WORDS(hostile[i]));
		char expected[64];

		snprintf(expected, sizeof(expected), "%s,x%s", hostile[i], hostile[i]);
		expect_output(argv[2], expected);
		free(argv);
	}
}

static void a_printed_command_reads_back_as_it_was(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		char expected[64];

		pcore_buf_clear(&b);
		assert_int_equal(
			cli_shell_words(&b, WORDS("printf", "%s,%s", hostile[i], "a=b")), 0);
		assert_int_equal(pcore_buf_terminate(&b), 0);
		snprintf(expected, sizeof(expected), "%s,a=b", hostile[i]);
		expect_output(b.data, expected);
	}
	pcore_buf_done(&b);
}

static void only_words_that_need_it_are_quoted(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(cli_shell_words(&b, WORDS("a=b", "--x=/y/z-1.c", "", "a b", "it's")), 0);
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_string_equal(b.data, "'a=b' --x=/y/z-1.c '' 'a b' 'it'\\''s'");
	pcore_buf_done(&b);
}

static void a_full_buffer_is_reported(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(4);

	(void)state;
	assert_int_equal(cli_shell_words(&b, WORDS("abc", "def")), -ENOBUFS);
	pcore_buf_clear(&b);
	assert_int_equal(cli_shell_words(&b, WORDS("a b")), -ENOBUFS);
	pcore_buf_done(&b);
}

/* ---- columns ---- */

static struct cli_template *made(char *const *words, unsigned flags)
{
	struct cli_template *t = NULL;

	assert_int_equal(cli_template_new(&t, words, count(words), flags), 0);
	return t;
}

static struct cli_item as_item(const char *text)
{
	return (struct cli_item){ text, strlen(text) };
}

/* The vector of a template with the item "the line" and these columns, as "[a][b]". Frees the template. */
static const char *with_columns(struct cli_template *t, char *const *columns)
{
	static char text[1024];
	struct cli_item list[16], line = as_item("the line");
	struct cli_template_args args = { .items = &line, .n_items = 1, .columns = list, .n_columns = count(columns), .seq = 7, .slot = 3 };
	char **argv = NULL;
	size_t n = 0;

	for (size_t i = 0; i < args.n_columns; i++)
		list[i] = as_item(columns[i]);
	assert_int_equal(cli_template_expand(t, &args, &argv), 0);
	for (size_t i = 0; argv[i]; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[%s]", argv[i]);
	free(argv);
	cli_template_free(t);
	return text;
}

static const char *numbered(char *const *words, char *const *columns)
{
	return with_columns(made(words, CLI_TEMPLATE_NUMBERS), columns);
}

static void columns_are_numbered_from_both_ends(void **state)
{
	(void)state;
	assert_string_equal(numbered(WORDS("e", "{1}", "{2}{1}", "x{-1}", "{-3}"), WORDS("a", "b c", "d")),
		"[e][a][b ca][xd][a]");
	assert_string_equal(numbered(WORDS("{01}", "{1}}"), WORDS("a")), "[a][a}]");
}

static void a_column_that_is_not_there_is_empty(void **state)
{
	(void)state;
	assert_string_equal(numbered(WORDS("e", "{3}", "x{9}y", "{-3}", "{99999999999999999999}", "{-99999999999}", "{3/}"), WORDS("a", "b")),
		"[e][][xy][][][][]");
}

static void columns_have_the_path_forms(void **state)
{
	(void)state;
	assert_string_equal(numbered(WORDS("{1.}", "{1/}", "{1//}", "{1/.}", "{-1/.}"), WORDS("d/a.b.c", "e/f.g")),
		"[d/a.b][a.b.c][d][a.b][f]");
}

static void columns_are_appended_without_a_placeholder(void **state)
{
	(void)state;
	assert_string_equal(numbered(WORDS("e", "{#}"), WORDS("a b", "", "c")), "[e][7][a b][][c]");
	assert_string_equal(numbered(WORDS("e", "{}"), WORDS("a", "b")), "[e][the line]");
	assert_string_equal(numbered(WORDS("e", "{}-{2}"), WORDS("a", "b")), "[e][the line-b]");
	assert_string_equal(numbered(WORDS("e", "{5}"), WORDS("a", "b")), "[e][]");
}

static void a_column_is_never_scanned_again(void **state)
{
	(void)state;
	assert_string_equal(numbered(WORDS("{1}", "{2}"), WORDS("{2}", "{}{1}")), "[{2}][{}{1}]");
}

static void what_is_no_number_stays_as_it_is(void **state)
{
	(void)state;
	assert_string_equal(numbered(WORDS("{print $1}", "{name}", "{1x}", "{+1}", "{ 1}", "{--1}", "{1,2}", "{-}", "{1"), WORDS("a")),
		"[{print $1}][{name}][{1x}][{+1}][{ 1}][{--1}][{1,2}][{-}][{1][a]");
}

static void column_nought_is_refused(void **state)
{
	static const char *const words[] = { "{0}", "x{0}", "{-0}", "{00}", "{0/}" };
	struct cli_template *t = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(cli_template_new(&t, WORDS("e", words[i]), 2, CLI_TEMPLATE_NUMBERS), -EDOM);
		assert_int_equal(cli_template_new(&t, WORDS("e", words[i]), 2, CLI_TEMPLATE_NUMBERS | CLI_TEMPLATE_SHELL), -EDOM);
		assert_null(t);
	}
	expect(WORDS("{0}"), WORDS("i"), WORDS("{0}", "i")); /* where there are no columns it is text */
}

static void columns_are_quoted_for_the_shell(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		struct cli_item columns[] = { as_item("c"), as_item(hostile[i]) };
		struct cli_template_args args = { .items = columns, .n_items = 1, .columns = columns, .n_columns = 2 };
		struct cli_template *t = made(WORDS("printf '%s,%s,%s' {2} x{-1} {3}"), CLI_TEMPLATE_SHELL | CLI_TEMPLATE_NUMBERS);
		char **argv = NULL, expected[64];

		assert_int_equal(cli_template_expand(t, &args, &argv), 0);
		snprintf(expected, sizeof(expected), "%s,x%s,", hostile[i], hostile[i]);
		expect_output(argv[2], expected);
		free(argv);
		cli_template_free(t);
	}
	assert_string_equal(with_columns(made(WORDS("e"), CLI_TEMPLATE_SHELL | CLI_TEMPLATE_NUMBERS), WORDS("a b", "it's")),
		"[/bin/sh][-c][e 'a b' 'it'\\''s']");
}

/* A template whose columns have these names. */
static struct cli_template *named(char *const *words, char *const *names)
{
	struct cli_template *t = made(words, CLI_TEMPLATE_NUMBERS | CLI_TEMPLATE_NAMES);
	struct cli_item list[16], bad;

	for (size_t i = 0; i < count(names); i++)
		list[i] = as_item(names[i]);
	assert_int_equal(cli_template_bind(t, list, count(names), &bad), 0);
	return t;
}

static void names_stand_for_their_columns(void **state)
{
	char **names = WORDS("id", "First Name", "file", "a.b");

	(void)state;
	assert_string_equal(with_columns(named(WORDS("{id}", "x{First Name}y", "{2}", "{-1}", "{}"), names), WORDS("1", "Ann", "f", "z")),
		"[1][xAnny][Ann][z][the line]");
	assert_string_equal(with_columns(named(WORDS("{file.}", "{file/}", "{file//}", "{file/.}", "{a.b}", "{a.b.}"), names),
		WORDS("", "", "d/f.c", "q.r")), "[d/f][f.c][d][f][q.r][q]");
	assert_string_equal(with_columns(named(WORDS("e", "{file}"), names), WORDS("1")), "[e][]");
}

static void the_whole_name_counts_before_a_form_of_a_shorter_one(void **state)
{
	(void)state;
	assert_string_equal(with_columns(named(WORDS("{x.}", "{x}", "{x./}"), WORDS("x", "x.")), WORDS("a.b", "c/d")), "[c/d][a.b][d]");
}

static void other_braces_stay_where_columns_have_names(void **state)
{
	(void)state;
	assert_string_equal(with_columns(named(WORDS("{print $1}", "{ id }", "{id,x}", "{a;b}"), WORDS("id")), WORDS("1")),
		"[{print $1}][{ id }][{id,x}][{a;b}][1]");
}

static void a_number_beyond_the_columns_may_be_a_name(void **state)
{
	(void)state;
	assert_string_equal(with_columns(named(WORDS("{2020}", "{2}", "{2020.}", "{2022}"), WORDS("city", "2020", "2")), WORDS("a", "b.c", "d")),
		"[b.c][b.c][b][]");
}

static void a_name_that_is_no_column_is_refused(void **state)
{
	static const struct {
		const char *word, *bad;
		int result;
	} cases[] = {
		{ "{nope}", "nope", -ENOENT },
		{ "x{id}{nope.}", "nope.", -ENOENT },
		{ "{ID}", "ID", -ENOENT },
		{ "{i}", "i", -ENOENT },
		{ "{id2}", "id2", -ENOENT },
		{ "{\xc3\xa9}", "\xc3\xa9", -ENOENT },
		{ "{twice}", "twice", -ENOTUNIQ },
		{ "{twice/}", "twice/", -ENOTUNIQ },
	};
	struct cli_item names[] = { as_item("id"), as_item("twice"), as_item("twice"), as_item("") };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cli_template *t = made(WORDS("e", "{id}", cases[i].word), CLI_TEMPLATE_NUMBERS | CLI_TEMPLATE_NAMES);
		struct cli_item bad;

		assert_int_equal(cli_template_bind(t, names, ARRAY_SIZE(names), &bad), cases[i].result);
		assert_int_equal(bad.len, strlen(cases[i].bad));
		assert_memory_equal(bad.data, cases[i].bad, bad.len);
		cli_template_free(t);
	}
}

static void a_placeholder_for_the_item_is_known(void **state)
{
	static const struct {
		const char *word;
		bool has;
	} cases[] = { { "x", false }, { "a{}", true }, { "{/.}", true }, { "{#}{%}", false }, { "{1}", false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cli_template *t = made(WORDS("e", cases[i].word), CLI_TEMPLATE_NUMBERS);

		assert_int_equal(cli_template_has_item(t), cases[i].has);
		cli_template_free(t);
	}
}

/* ---- filling ---- */

/* What the kernel counts: the strings with their NULs and a pointer to each. */
static size_t vector_bytes(char *const *argv, size_t *ret_longest)
{
	size_t n = 0;

	*ret_longest = 0;
	for (size_t i = 0; argv[i]; i++) {
		size_t len = strlen(argv[i]) + 1;

		n += len + sizeof(char *);
		*ret_longest = len > *ret_longest ? len : *ret_longest;
	}
	return n;
}

/* The fill agrees with what the vector takes when it is made: the items it takes fit, one more would not. */
static void expect_exact_fill(char *const *words, unsigned flags, size_t room, size_t string_max)
{
	static char texts[200][32];
	struct cli_item items[200];
	struct cli_template *t = made(words, flags);
	struct cli_fill *f = NULL;
	size_t n = 0;

	assert_int_equal(cli_fill_new(&f, t, room, string_max), 0);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		snprintf(texts[i], sizeof(texts[i]), "%zu'/%.*s", i, (int)(i % 17), "xxxxxxxxxxxxxxxxxxxx");
		items[i] = as_item(texts[i]);
	}
	for (int turn = 0; turn < 2; turn++) {
		cli_fill_begin(f);
		for (n = 0; n < ARRAY_SIZE(items) && cli_fill_add(f, items[n]); n++)
			;
		assert_true(n > 0);
		assert_true(n < ARRAY_SIZE(items));
		assert_false(cli_fill_add(f, items[n])); /* it was not counted in */
		for (size_t k = n; k <= n + 1; k++) {
			struct cli_template_args args = { .items = items, .n_items = k, .seq = UINT64_MAX, .slot = UINT32_MAX };
			char **argv = NULL;
			size_t longest, bytes;

			assert_int_equal(cli_template_expand(t, &args, &argv), 0);
			bytes = vector_bytes(argv, &longest);
			assert_int_equal(bytes <= room && longest <= string_max, k == n);
			free(argv);
		}
	}
	cli_fill_free(f);
	cli_template_free(t);
}

static void as_many_items_as_fit_are_taken_and_no_more(void **state)
{
	(void)state;
	for (size_t room = 300; room < 340; room++) {
		expect_exact_fill(WORDS("echo"), 0, room, 100);
		expect_exact_fill(WORDS("echo", "{}", "{#}{%}", "z"), 0, room, 100);
		expect_exact_fill(WORDS("echo", "{}", "{}"), 0, room, 100);
		expect_exact_fill(WORDS("echo", "a{}b{}"), 0, room, 1000);
		expect_exact_fill(WORDS("echo", "{}", "x{}"), 0, room, 1000);
		expect_exact_fill(WORDS("echo", "x"), CLI_TEMPLATE_SHELL, room, 1000);
		expect_exact_fill(WORDS("echo", "{} | {/}"), CLI_TEMPLATE_SHELL, room, 1000);
	}
}

static void no_string_gets_too_long(void **state)
{
	(void)state;
	for (size_t max = 60; max < 100; max++) {
		expect_exact_fill(WORDS("echo", "a{}b{.}"), 0, 100000, max);
		expect_exact_fill(WORDS("echo", "{}", "<{}>", "{}{#}"), 0, 100000, max);
		expect_exact_fill(WORDS("echo"), CLI_TEMPLATE_SHELL, 100000, max);
	}
}

static void an_item_that_fits_nowhere_is_refused_alone(void **state)
{
	struct cli_template *t = made(WORDS("echo"), 0);
	struct cli_fill *f = NULL;

	(void)state;
	assert_int_equal(cli_fill_new(&f, t, 1000, 10), 0);
	assert_false(cli_fill_add(f, as_item("0123456789")));
	assert_true(cli_fill_add(f, as_item("012345678")));
	assert_true(cli_fill_add(f, as_item("")));
	cli_fill_free(f);
	assert_int_equal(cli_fill_new(&f, t, 0, 10), 0);
	assert_false(cli_fill_add(f, as_item("")));
	cli_fill_free(f);
	cli_fill_free(NULL);
	cli_template_free(t);
}

static void a_placeholder_in_the_first_word_is_noticed(void **state)
{
	static const struct {
		const char *first;
		bool varies;
	} cases[] = { { "echo", false }, { "{x}", false }, { "{}", true }, { "x{.}", true },
		{ "{%}", true } };
	struct cli_template *t = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(cli_template_new(&t, WORDS(cases[i].first, "{}"), 2, false), 0);
		assert_int_equal(cli_template_command_varies(t), cases[i].varies);
		cli_template_free(t);
	}
	cli_template_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_item_is_appended_without_a_placeholder),
		TEST(a_placeholder_stands_anywhere_and_repeatedly),
		TEST(what_is_put_in_is_never_scanned_again),
		TEST(unknown_braces_are_text),
		TEST(number_and_slot_do_not_place_the_item),
		TEST(without_a_slot_its_placeholder_stays),
		TEST(several_items_become_words_or_are_joined_by_blanks),
		TEST(no_item_leaves_nothing),
		TEST(path_forms_follow_the_table),
		TEST(shell_mode_quotes_items_and_nothing_else),
		TEST(the_shell_sees_each_item_as_one_exact_word),
		TEST(a_printed_command_reads_back_as_it_was),
		TEST(only_words_that_need_it_are_quoted),
		TEST(a_full_buffer_is_reported),
		TEST(a_placeholder_in_the_first_word_is_noticed),
		TEST(columns_are_numbered_from_both_ends),
		TEST(a_column_that_is_not_there_is_empty),
		TEST(columns_have_the_path_forms),
		TEST(columns_are_appended_without_a_placeholder),
		TEST(a_column_is_never_scanned_again),
		TEST(what_is_no_number_stays_as_it_is),
		TEST(column_nought_is_refused),
		TEST(columns_are_quoted_for_the_shell),
		TEST(names_stand_for_their_columns),
		TEST(the_whole_name_counts_before_a_form_of_a_shorter_one),
		TEST(other_braces_stay_where_columns_have_names),
		TEST(a_number_beyond_the_columns_may_be_a_name),
		TEST(a_name_that_is_no_column_is_refused),
		TEST(a_placeholder_for_the_item_is_known),
		TEST(as_many_items_as_fit_are_taken_and_no_more),
		TEST(no_string_gets_too_long),
		TEST(an_item_that_fits_nowhere_is_refused_alone),
	};

	return RUN_TESTS(tests);
}
