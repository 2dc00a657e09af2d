/* SPDX-License-Identifier: MIT */
/*
 * prepare.c - what has to be right before anything runs: the command, and where its items come from.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/command.h"
#include "tools/map/run.h"

static int refuse_placeholders(void)
{
	return cli_usage("a worker reads its items from standard input: {} does not go with --worker");
}

static int name_columns(void *ctx, const struct cli_item *names, size_t n)
{
	struct map *m = ctx;
	struct cli_item bad;
	int r = cli_template_bind(m->template, names, n, &bad);

	if (r < 0)
		(void)cli_error(r == -ENOENT ? "no column is named '%.*s'" : "several columns are named '%.*s'", (int)bad.len, bad.data);
	if (r == 0 && m->opts->workers.worker && cli_template_takes_items(m->template)) {
		(void)refuse_placeholders();
		r = -EINVAL;
	}
	return r;
}

static bool fits(void *ctx, struct cli_item item, bool first)
{
	struct map *m = ctx;

	if (first)
		cli_fill_begin(m->fill);
	return cli_fill_add(m->fill, item);
}

/* The jobs' limit on the stack says how much they can be given. */
static int prepare_fill(struct map *m)
{
	const struct cli_job_opts *job = &m->opts->job;
	size_t env_bytes = ENV_EXTRA * sizeof(m->env_text[0]), room;
	const char *file = m->opts->shell ? "/bin/sh" : m->file, *word = m->opts->words[0];
	struct rlimit stack = { .rlim_cur = 0 };

	if (!file && strchr(word, '/') && !cli_template_command_varies(m->template))
		file = word;
	(void)getrlimit(RLIMIT_STACK, &stack);
	for (size_t i = 0; i < job->n_limits; i++)
		if (job->limits[i].resource == RLIMIT_STACK)
			stack = job->limits[i].limit;
	for (size_t i = 0; i < m->env_n; i++)
		env_bytes += strlen(m->env[i]) + 1;
	room = cli_command_room(stack.rlim_cur, m->env_n + ENV_EXTRA, env_bytes, file);
	m->source.fits = fits;
	return cli_fill_new(&m->fill, m->template, room, cli_command_string_max()) < 0 ? cli_error("out of memory") : CLI_GO;
}

static int open_feed(struct map *m)
{
	const struct source_opts *o = &m->opts->source;
	unsigned char delim;
	int fd = STDIN_FILENO;

	if (o->delimiter && cli_items_parse_delim(o->delimiter, &delim) < 0)
		return cli_opt_bad("delimiter", o->delimiter, "must be one byte, or \\n \\t \\r \\0 \\\\ \\xHH");
	if (o->file)
		fd = open(o->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return cli_error("cannot open '%s': %s", o->file, strerror(errno));
	m->feed.ctx = m;
	m->feed.more = map_more_items;
	m->feed.go_on = m->opts->face->feed ? m->opts->face->feed : pcore_local_feed;
	return feed_open(&m->feed, &m->opts->feed, o->null ? "\\0" : o->delimiter, fd, o->file);
}

int map_open_source(struct map *m)
{
	int r = m->opts->source.fill ? prepare_fill(m) : CLI_GO;

	if (m->opts->feed.pipe)
		return open_feed(m);
	m->source.ctx = m;
	m->source.more = map_more_items;
	m->source.named = name_columns;
	if (r == CLI_GO)
		r = source_open(&m->source, m->loop, &m->opts->source);
	if (m->opts->call.call) { /* no argument has to hold them */
		m->source.items.nul_ok = true;
		m->source.read_least = CALL_READ;
	}
	if (r == CLI_GO && m->source.items.nul_ok && cli_template_has_item(m->template))
		r = cli_usage("{} cannot be used with a NUL byte as --colsep: no argument can hold it");
	return r;
}

int map_prepare_command(struct map *m)
{
	const struct map_opts *o = m->opts;
	unsigned flags = o->shell ? CLI_TEMPLATE_SHELL : 0;
	int r;

	if (source_opts_numbers(&o->source))
		flags |= CLI_TEMPLATE_NUMBERS;
	if (o->source.header)
		flags |= CLI_TEMPLATE_NAMES;
	m->env = cli_job_env(&o->job, ENV_EXTRA, &m->env_n);
	r = m->env ? cli_template_new(&m->template, o->words, o->n_words, flags) : -ENOMEM;
	if (r < 0)
		return r == -EDOM ? cli_usage("there is no column {0}: they count from 1") : cli_error("out of memory");
	if (o->call.call)
		return cli_template_takes_items(m->template) ? cli_usage("a function has no placeholders") : call_open(&m->call, o);
	if (o->workers.worker && cli_template_takes_items(m->template))
		return refuse_placeholders();
	if (o->feed.pipe && cli_template_takes_items(m->template))
		return cli_usage("with --pipe there is no item for a placeholder: only {#} and {%%} can be used");
	if (o->dry_run || o->elsewhere)
		return CLI_GO;
	if (o->job.chdir && access(o->job.chdir, X_OK) < 0)
		return cli_error("cannot change directory to '%s': %s", o->job.chdir, strerror(errno));
	if (o->shell || cli_template_command_varies(m->template))
		return CLI_GO;
	if (cli_command_find(o->words[0], o->job.chdir, m->env, &m->file, &m->err) < 0)
		return cli_spawn_error(&m->err, o->words[0]);
	return CLI_GO;
}
