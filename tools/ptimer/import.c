/* SPDX-License-Identifier: MIT */
/*
 * import.c - ptimer import: a crontab as a table.
 *
 * Each line becomes one line, so that a mistake in the table is one in that line of the crontab: the table is read before it is
 * printed.
 */
#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/ptimer/table.h"

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-"

enum { ENV_MAX = 256, BASE_MAX = 48, FIELDS = 5 };

struct import {
	bool system; /* there is a user behind the time */
	const char *file;
	unsigned line;
	int mistakes;
	bool failed; /* without memory */
	struct pcore_buf out;
	/* What was assigned so far, in the text of the crontab. */
	const char *shell, *home, *zone;
	const char *env_names[ENV_MAX], *env_values[ENV_MAX];
	size_t n_env;
};

/* Assignments that say something to cron, and what becomes of that. */
static const struct {
	const char *name, *why;
} not_carried[] = {
	{ "MAILTO", "the output of jobs goes where that of ptimer goes" },
	{ "MAILFROM", "nothing is mailed" },
	{ "CONTENT_TYPE", "nothing is mailed" },
	{ "CONTENT_TRANSFER_ENCODING", "nothing is mailed" },
	{ "RANDOM_DELAY", "see --jitter" },
	{ "LOGNAME", "cron sets it itself" },
};

static void mistake(struct import *im, size_t column, const char *what)
{
	ptimer_tell_mistake(NULL, im->file, im->line, (unsigned)column, what);
	im->mistakes++;
}

static char *skip_blanks(char *s)
{
	return s + strspn(s, " \t");
}

/* Cut a word off. Returns what follows it and blanks. */
static char *cut_word(char *s)
{
	s += strcspn(s, " \t");
	if (*s)
		*s++ = '\0';
	return skip_blanks(s);
}

__attribute__((format(printf, 2, 3))) static void add(struct import *im, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	im->failed |= pcore_buf_vaddf(&im->out, fmt, ap) < 0;
	va_end(ap);
}

static void add_word(struct import *im, const char *word)
{
	add(im, " ");
	im->failed |= ptimer_table_quote(&im->out, word) < 0;
}

static void add_option(struct import *im, const char *option, const char *value)
{
	add(im, "%s", option);
	add_word(im, value);
}

/* ---- assignments ---- */

/* NAME = VALUE, the value in quotes or not. False: it is none. */
static bool cut_assignment(char *line, char **ret_name, char **ret_value)
{
	size_t len = strcspn(line, " \t=");
	char *value = skip_blanks(line + len), *end;

	if (len == 0 || *value != '=')
		return false;
	value = skip_blanks(value + 1);
	end = value + strlen(value);
	while (end > value && strchr(" \t", end[-1]))
		end--;
	if (end - value >= 2 && strchr("'\"", value[0]) && end[-1] == value[0]) {
		value++;
		end--;
	}
	*end = '\0';
	line[len] = '\0';
	*ret_name = line;
	*ret_value = value;
	return true;
}

static void set_env(struct import *im, const char *name, const char *value)
{
	size_t i = 0;

	while (i < im->n_env && strcmp(im->env_names[i], name) != 0)
		i++;
	if (i == ENV_MAX) {
		mistake(im, 1, "there are too many variables");
		return;
	}
	im->env_names[i] = name;
	im->env_values[i] = value;
	im->n_env += i == im->n_env;
}

/* The line stays as a comment. */
static void assign(struct import *im, const char *name, const char *value)
{
	const char *why = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(not_carried); i++)
		if (strcmp(name, not_carried[i].name) == 0)
			why = not_carried[i].why;
	add(im, "# %s=%s", name, value);
	if (why) {
		add(im, " is not carried over: %s", why);
	} else if (strcmp(name, "SHELL") == 0) {
		if (!value[0] || value[strspn(value, PLAIN)])
			mistake(im, 1, "the shell must be a path of letters, digits and / . _ -");
		im->shell = value;
	} else if (strcmp(name, "CRON_TZ") == 0) {
		im->zone = value[0] ? value : NULL;
	} else {
		if (strcmp(name, "HOME") == 0)
			im->home = value;
		set_env(im, name, value);
	}
}

/* ---- entries ---- */

/* The command's name, as far as it can be one, and the number of the line. */
static void add_name(struct import *im, const char *command)
{
	size_t len = strcspn(command, " \t;|&<>()%"), n = 0;
	char base[BASE_MAX + 1];

	for (size_t i = len; i > 0 && command[i - 1] != '/'; i--)
		n++;
	command += len - n;
	len = 0;
	for (size_t i = 0; i < n && len < BASE_MAX; i++)
		if (isalnum((unsigned char)command[i]) || (len > 0 && strchr("._-", command[i])))
			base[len++] = command[i];
	base[len] = '\0';
	add(im, "%s-%u:", len > 0 ? base : "line", im->line);
}

/* Cut text at the first % that no backslash quotes, and take these backslashes away. Returns what is behind it, or NULL. */
static char *cut_part(char *s)
{
	char *to = s;
	bool more;

	for (; *s && *s != '%'; s++) {
		if (s[0] == '\\' && s[1] == '%')
			s++;
		*to++ = *s;
	}
	more = *s == '%';
	*to = '\0';
	return more ? s + 1 : NULL;
}

/* As cron runs it: what is behind a % is the command's standard input, in which further ones end lines. */
static void add_command(struct import *im, char *command)
{
	char *input = cut_part(command), *next;

	if (!input || !*input) {
		add_option(im, " --", im->shell);
		add_option(im, " -c", command);
		return;
	}
	add(im, " -- sh -c 'printf \"%%s\\n\" \"$@\" | %s -c \"$0\"'", im->shell);
	add_word(im, command);
	for (; input && *input; input = next) {
		next = cut_part(input);
		add_word(im, input);
	}
}

static void add_env(struct import *im)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);

	for (size_t i = 0; i < im->n_env; i++) {
		pcore_buf_clear(&b);
		if (pcore_buf_addf(&b, "%s=%s", im->env_names[i], im->env_values[i]) < 0 || pcore_buf_terminate(&b) < 0)
			im->failed = true;
		else
			add_option(im, " --env", b.data);
	}
}

/* The end of the time: a word that begins with @, or five. */
static char *end_of_time(char *s)
{
	char *end = s + strcspn(s, " \t");

	for (int i = 1; *s != '@' && i < FIELDS && *skip_blanks(end); i++) {
		end = skip_blanks(end);
		end += strcspn(end, " \t");
	}
	return end;
}

/* One blank between the fields. */
static void squeeze(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (!strchr(" \t", *s))
			*to++ = *s;
		else if (!strchr(" \t", s[1]))
			*to++ = ' ';
	*to = '\0';
}

static void entry(struct import *im, const char *line, char *time)
{
	char *end = end_of_time(time), *user = NULL, *command = skip_blanks(end);
	struct pcore_when_error error;
	struct pcore_when w;
	bool reboot;

	*end = '\0';
	reboot = strcmp(time, "@reboot") == 0;
	if (!reboot && pcore_cron_parse(time, &w, &error) < 0) {
		mistake(im, (size_t)(time - line) + error.column, error.why);
		return;
	}
	if (im->system) {
		user = command;
		command = cut_word(command);
	}
	if (!*command) {
		mistake(im, (size_t)(command - line) + 1, "there is no command");
		return;
	}
	squeeze(time);
	add_name(im, command);
	add_option(im, reboot ? " after" : " cron", reboot ? "0" : time);
	if (im->zone && !reboot)
		add_option(im, " --tz", im->zone);
	if (user)
		add_option(im, " --user", user);
	if (im->home)
		add_option(im, " --chdir", im->home);
	add_env(im);
	add_command(im, command);
}

/* ---- lines ---- */

static void import_line(struct import *im, char *line)
{
	char *text = skip_blanks(line), *name, *value;

	if (!*text || *text == '#')
		add(im, "%s", line);
	else if (cut_assignment(text, &name, &value))
		assign(im, name, value);
	else
		entry(im, line, text);
}

/* Each line of text, which is changed. */
static void import_lines(struct import *im, char *text, size_t len)
{
	char *end = text + len;

	im->shell = "sh";
	for (im->line = 1; text < end; im->line++) {
		char *newline = memchr(text, '\n', (size_t)(end - text)), *line_end = newline ? newline : end;
		size_t before = im->out.len;
		int mistakes = im->mistakes;

		*line_end = '\0'; /* there is room for one behind the text */
		if (strlen(text) < (size_t)(line_end - text))
			mistake(im, strlen(text) + 1, "there is a NUL byte");
		else
			import_line(im, text);
		if (im->mistakes > mistakes)
			im->out.len = before;
		add(im, "\n");
		text = line_end + 1;
	}
}

/* A mistake in the table is one in the same line of the crontab. */
static void told(void *ctx, const char *file, unsigned line, unsigned column, const char *what)
{
	struct import *im = ctx;

	(void)file;
	(void)column;
	im->line = line;
	mistake(im, 1, what);
}

static int read_back(struct import *im)
{
	struct ptimer_zones zones = { 0 };
	struct ptimer_table t = { .names_only = true };
	int r = ptimer_table_parse(&t, im->file, im->out.data, im->out.len, &zones, told, im);

	ptimer_table_done(&t);
	ptimer_zones_done(&zones);
	return r < 0 ? r : 0;
}

/* 0, or -errno of the file. */
static int load(const char *path, struct pcore_buf *b)
{
	_cleanup_(fd_closep) int opened = -EBADF;
	int fd = STDIN_FILENO, r;

	if (strcmp(path, "-") != 0)
		fd = opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	r = fd < 0 ? -errno : ptimer_table_load(fd, b);
	return r < 0 ? r : pcore_buf_terminate(b);
}

static int import_file(struct import *im)
{
	_cleanup_(pcore_buf_done) struct pcore_buf text = PCORE_BUF_INIT(PTIMER_TABLE_FILE_MAX);
	int r = load(im->file, &text);

	if (r < 0)
		return cli_error("cannot read '%s': %s", im->file, strerror(-r));
	import_lines(im, text.data, text.len);
	if (im->failed || (im->out.len > 0 && read_back(im) < 0))
		return cli_error("out of memory");
	if (im->mistakes > 0)
		return CLI_NO;
	r = cli_write(STDOUT_FILENO, im->out.data, im->out.len);
	if (r < 0 && r != -EPIPE)
		(void)cli_error("cannot write to standard output: %s", strerror(-r));
	return r < 0 ? CLI_FAILURE : CLI_OK;
}

int ptimer_import(int argc, char **argv)
{
	static const struct cli_opt table[] = {
		{ .name = "system", .kind = CLI_OPT_FLAG, .offset = offsetof(struct import, system), .help = "a user stands between time and command" },
		{ .name = NULL },
	};
	struct import im = { 0 };
	const struct cli_opt *const tables[] = { table, NULL };
	void *const targets[] = { &im };
	const struct cli_opts spec = {
		.usage = "ptimer import [--system] CRONTAB",
		.summary = "Print a crontab as a table of timers. - is standard input.",
		.tables = tables,
		.targets = targets,
	};
	int operand, r = cli_opts_parse(&spec, argc, argv, &operand);

	if (r != CLI_GO)
		return r;
	if (argc - operand != 1)
		return argc == operand ? cli_usage("import needs a crontab") : cli_usage("unexpected '%s'", argv[operand + 1]);
	im.file = argv[operand];
	r = import_file(&im);
	pcore_buf_done(&im.out);
	return r;
}
