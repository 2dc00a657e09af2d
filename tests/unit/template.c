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
		TEST(several_items_become_words_or_are_joined_by_blanks),
		TEST(no_item_leaves_nothing),
		TEST(path_forms_follow_the_table),
		TEST(shell_mode_quotes_items_and_nothing_else),
		TEST(the_shell_sees_each_item_as_one_exact_word),
		TEST(a_printed_command_reads_back_as_it_was),
		TEST(only_words_that_need_it_are_quoted),
		TEST(a_full_buffer_is_reported),
		TEST(a_placeholder_in_the_first_word_is_noticed),
	};

	return RUN_TESTS(tests);
}
