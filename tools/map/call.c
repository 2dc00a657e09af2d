/* SPDX-License-Identifier: MIT */
/*
 * call.c - `call': jobs are calls of a C function.
 */
#include "tools/map/call.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/map/map.h"

#define AT(member) offsetof(struct call_opts, member)

/* Long enough that handing a block out and back is little of it, short enough that nobody waits for it. */
#define BATCH_NS (2 * NS_PER_MS)

enum { BATCH_BYTES = 64 * 1024, BATCH_ITEMS = 16 * 1024, BATCH_GROWTH = 16, OUTPUT_MAX = CALL_OUTPUT_MAX };

const struct cli_opt call_table[] = {
	{ .name = "Calls", .kind = CLI_OPT_HEADING },
	{ .name = "threads", .kind = CLI_OPT_FLAG, .offset = AT(threads), .help = "call it in threads (the default)" },
	{ .name = "processes", .kind = CLI_OPT_FLAG, .offset = AT(processes), .help = "call it in processes: a crash costs one item" },
	{ .name = NULL },
};

/* ---- options ---- */

/* What is done to a process cannot be done to a thread. */
static const char *for_processes(const struct cli_job_opts *o)
{
	const struct {
		const char *name;
		bool given;
	} others[] = {
		{ "--timeout", o->timeout != INT64_MAX },
		{ "--chdir", o->chdir != NULL },
		{ "--clean-env", o->clean_env },
		{ "--env", o->n_set > 0 || o->n_unset > 0 },
		{ "--limit", o->n_limits > 0 },
		{ "--nice", o->nice != 0 },
		{ "--umask", o->set_umask },
		{ "--affinity", o->affinity != NULL },
		{ "--sched", o->set_sched },
		{ "--ionice", o->set_ionice },
		{ "--oom-adj", o->set_oom_adj },
		{ "--user, --group or --groups", o->set_uid || o->set_gid || o->set_groups },
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i].given)
			return others[i].name;
	return NULL;
}

int call_check(struct map_opts *o)
{
	const char *colon = strrchr(o->words[0], ':'), *name;

	if (o->call.threads && o->call.processes)
		return cli_usage("--threads and --processes exclude each other");
	if (!colon || colon == o->words[0] || !colon[1])
		return cli_usage("'%s' names no function: it must be LIB.so:SYMBOL", o->words[0]);
	if (o->n_words > 1)
		return cli_usage("a function takes the item and nothing else: what is '%s'?", o->words[1]);
	if (o->shell || o->raw || o->source.per_job > 1 || o->source.fill)
		return cli_usage("%s does not go with call", o->shell ? "--shell" : o->raw ? "--raw" : o->source.fill ? "--fill" : "-n");
	name = for_processes(&o->job);
	if (!o->call.processes && name)
		return cli_usage("%s is for processes: it needs --processes", name);
	if (o->call.processes)
		o->workers.worker = o->workers.frames = o->workers.status = true;
	return CLI_GO;
}

/* Need the jobs to be items? */
static bool can_batch(const struct map_opts *o)
{
	const struct source_opts *s = &o->source;
	const struct record_opts *r = &o->record;

	return !s->args && !s->skip_empty && !s->shuffle && s->max == UINT64_MAX && s->skip_lines == 0 && !r->log && !r->log_json &&
	       !r->results && !r->on_error && !r->resume && !r->resume_failed && !o->tag && !o->job.retry && !o->delay && !o->dry_run &&
	       !o->verbose && !o->progress && o->halt.when == PCORE_HALT_NEVER;
}

/* ---- the function ---- */

static int load(struct call *c)
{
	void *symbol;

	c->handle = dlopen(c->path, RTLD_NOW | RTLD_LOCAL);
	if (!c->handle) {
		(void)cli_error("cannot load '%s': %s", c->path, dlerror());
		return 126;
	}
	symbol = dlsym(c->handle, c->symbol);
	if (!symbol) {
		(void)cli_error("there is no function '%s' in '%s'", c->symbol, c->path);
		return 127;
	}
	memcpy(&c->fn, &symbol, sizeof(c->fn)); /* POSIX wants the two to be alike, C does not know of it */
	return CLI_GO;
}

int call_open(struct call *c, const struct map_opts *o)
{
	const char *word = o->words[0], *colon = strrchr(word, ':');
	_cleanup_(freep) char *lib = strndup(word, (size_t)(colon - word));
	unsigned char delim = o->source.null ? '\0' : '\n';

	c->symbol = strdup(colon + 1);
	if (!lib || !c->symbol)
		return cli_error("out of memory");
	c->path = realpath(lib, NULL); /* it is a file: nothing is searched, and processes may be elsewhere */
	if (!c->path) {
		(void)cli_error("cannot load '%s': %s", lib, strerror(errno));
		return 127;
	}
	if (o->source.delimiter)
		(void)cli_items_parse_delim(o->source.delimiter, &delim); /* the source tells what is wrong */
	c->threads = !o->call.processes;
	c->batched = c->threads && can_batch(o);
	c->delim = delim;
	c->n = 1;
	c->argv[0] = (char *)(uintptr_t) "ppool";
	c->argv[1] = (char *)(uintptr_t) "call-worker";
	c->argv[2] = c->path;
	c->argv[3] = c->symbol;
	return load(c);
}

void call_done(struct call *c)
{
	if (c->handle)
		(void)dlclose(c->handle);
	free(c->path);
	free(c->symbol);
}

struct sink {
	struct pcore_out out; /* first */
	struct pcore_buf *buf;
	int error;
};

static int add(struct pcore_out *out, const void *data, size_t size)
{
	struct sink *s = container_of(out, struct sink, out);
	int r = pcore_buf_add(s->buf, data, size);

	if (r < 0)
		s->error = r;
	return r == -ENOBUFS ? -EMSGSIZE : r;
}

int call_one(const struct call *c, const char *item, size_t size, struct pcore_buf *out)
{
	struct sink s = { .out = { .size = sizeof(s.out), .write = add }, .buf = out };
	int r = c->fn(item, size, &s.out);

	if (r == 0)
		return s.error ? 1 : 0;
	return r > 0 && r < 256 ? r : 1;
}

/* ---- blocks ---- */

int call_next(struct call *c, struct source *s, struct call_job *j)
{
	return source_block(s, c->n, BATCH_BYTES, &j->block, &j->len, &j->n);
}

int call_block(const struct call *c, struct call_job *j, struct pcore_buf *out)
{
	const char *p = j->block, *limit = j->block + j->len;
	int64_t begun = pcore_now_ns();
	int status = 0;

	for (size_t i = 0; i < j->n; i++) {
		const char *end = i + 1 < j->n ? memchr(p, c->delim, (size_t)(limit - p)) : limit;
		int r;

		assert(end);
		r = call_one(c, p, (size_t)(end - p), out);
		if (status == 0)
			status = r;
		p = end + 1;
	}
	j->ns = pcore_now_ns() - begun;
	return status;
}

void call_learn(struct call *c, const struct call_job *j)
{
	double ns, n;

	if (j->n == 0 || j->ns <= 0)
		return;
	ns = (double)j->ns / (double)j->n;
	/* up at once and down slowly: one that suddenly takes long shall not be in a large block for long */
	c->item_ns = c->item_ns <= 0 || ns > c->item_ns ? ns : (c->item_ns * 3 + ns) / 4;
	n = (double)BATCH_NS / (c->item_ns > 1 ? c->item_ns : 1);
	if (n > (double)j->n * BATCH_GROWTH)
		n = (double)j->n * BATCH_GROWTH;
	if (j->n < c->n && n > (double)j->n && n < (double)c->n) /* there were no more to be had: that says nothing of a smaller one */
		return;
	c->n = n < 1 ? 1 : n > BATCH_ITEMS ? BATCH_ITEMS : (size_t)n;
}

/* ---- a process ---- */

/* All of size bytes: 1; 0 at the end. */
static int read_whole(int fd, char *data, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, data + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 || got > 0 ? -EIO : 0;
		got += (size_t)n;
	}
	return 1;
}

static void put_length(char *p, size_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(n >> (24 - 8 * i));
}

/* Each answer is written before the next call: what crashes there has it. */
static int answer(const struct call *c, int fd, const char *item, size_t size, struct pcore_buf *out)
{
	int r;

	pcore_buf_clear(out);
	r = pcore_buf_add(out, "\0\0\0\0\0", 5);
	if (r < 0)
		return r;
	r = call_one(c, item, size, out);
	put_length(out->data, out->len - 4);
	out->data[4] = (char)r;
	return pcore_fd_write_all(fd, out->data, out->len);
}

static int serve(const struct call *c, int fd)
{
	_cleanup_(pcore_buf_done) struct pcore_buf in = PCORE_BUF_INIT(0), out = PCORE_BUF_INIT(OUTPUT_MAX);
	unsigned char head[4];
	int r;

	while ((r = read_whole(STDIN_FILENO, (char *)head, sizeof(head))) > 0) {
		size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];

		pcore_buf_clear(&in);
		r = pcore_buf_reserve(&in, size + 1);
		if (r == 0 && size > 0)
			r = read_whole(STDIN_FILENO, in.data, size);
		if (r >= 0)
			r = answer(c, fd, in.data, size, &out);
		if (r < 0)
			break;
	}
	return r < 0 ? cli_error("cannot answer: %s", strerror(-r)) : CLI_OK;
}

int call_worker(int argc, char **argv)
{
	struct call c = { .path = argc > 1 ? argv[1] : NULL, .symbol = argc > 2 ? argv[2] : NULL };
	int fd, r;

	if (argc != 3)
		return cli_usage("call-worker is for ppool itself");
	/* What the function prints by itself is no answer. */
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return cli_error("cannot set up standard output: %s", strerror(errno));
	r = load(&c);
	return r == CLI_GO ? serve(&c, fd) : r;
}
