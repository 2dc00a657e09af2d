/* SPDX-License-Identifier: MIT */
/*
 * addrs.c - lists of addresses, as values of options: A,B, or a file that has one a line.
 */
#include "tools/cli/addrs.h"

#include <stdio.h>
#include <string.h>

#include "tools/cli/opts.h"

#define BLANK " \t\r\n"

static int add(struct cli_addrs *a, const char *name, const char *word)
{
	const char **larger;
	char *copy;

	if (a->n == a->max)
		return cli_opt_bad(name, word, "too many");
	larger = reallocarray(a->words, a->n + 2, sizeof(*larger));
	if (!larger)
		return cli_error("out of memory");
	a->words = larger;
	copy = strdup(word);
	if (!copy)
		return cli_error("out of memory");
	a->words[a->n++] = copy;
	a->words[a->n] = NULL;
	return 0;
}

static int add_line(struct cli_addrs *a, const char *name, const char *path, char *line)
{
	char *save = NULL, *word, *more;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, BLANK, &save);
	more = word ? strtok_r(NULL, BLANK, &save) : NULL;
	if (more)
		return cli_error("cannot use the addresses in '%s': '%s' is a second one in a line", path, more);
	return word ? add(a, name, word) : 0;
}

static int add_file(struct cli_addrs *a, const char *name, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!f)
		return cli_error("cannot open '%s': %s", path, strerror(errno));
	while (r == 0 && getline(&line, &size, f) >= 0)
		r = add_line(a, name, path, line);
	if (r == 0 && !feof(f))
		r = cli_error("cannot read '%s': %s", path, strerror(errno));
	free(line);
	(void)fclose(f);
	return r;
}

static int add_words(struct cli_addrs *a, const char *name, const char *value)
{
	char *text = strdup(value), *save = NULL;
	int r = text ? 0 : cli_error("out of memory");

	for (char *word = text ? strtok_r(text, ",", &save) : NULL; word && r == 0; word = strtok_r(NULL, ",", &save))
		r = add(a, name, word);
	free(text);
	return r;
}

int cli_addrs_add(struct cli_addrs *a, const char *name, const char *value)
{
	size_t before = a->n;
	bool is_file = strchr(value, '/') && strncmp(value, "unix:", 5) != 0;
	int r = is_file ? add_file(a, name, value) : add_words(a, name, value);

	if (r == 0 && a->n == before)
		return cli_opt_bad(name, value, is_file ? "there is no address in it" : "must be addresses with commas between, or a file");
	return r;
}
