/* SPDX-License-Identifier: MIT */
/*
 * submit.c - ppool apply, async and after: giving jobs to a named pool.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/argfile.h"
#include "tools/cli/jobopts.h"
#include "tools/cli/template.h"
#include "tools/ppool/client.h"
#include "tools/ppool/named.h"

#define AT(member) offsetof(struct submit_opts, member)

/* How many bytes of requests are made before they are sent. */
enum { OUT_SIZE = 64 * 1024, READ_LEAST = 4096 };

/* Strings are borrowed from argv. */
struct submit_opts {
	struct cli_job_opts job; /* the place only */
	bool nowait;
	int64_t timeout; /* -1: the pool's */
	uint64_t retries; /* UINT64_MAX: the pool's */

	struct cli_argfile from; /* async -a */

	const char *name;
	uint64_t *after;
	size_t n_after;
	char **argv;
};

static const struct cli_opt submit_table[] = {
	{ .name = "The job", .kind = CLI_OPT_HEADING },
	{ .name = "nowait", .kind = CLI_OPT_FLAG, .offset = AT(nowait), .help = "exit 75 when the queue is full" },
	{ .name = "timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(timeout), .help = "end it when it runs longer (the pool's)" },
	{ .name = "retry", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(retries), .max = 1000000000, .help = "try up to N more times when it fails (the pool's)" },
	{ .name = NULL },
};

static const struct cli_opt nothing_table[] = { { .name = NULL } };

/* ---- the command line ---- */

static struct cli_opts describe(struct submit_opts *o, const char *usage, const char *summary, const struct cli_opt *more)
{
	static const struct cli_opt *tables[4];
	static void *targets[3];

	tables[0] = submit_table;
	tables[1] = more;
	tables[2] = cli_job_place_table;
	targets[0] = o;
	targets[1] = &o->from;
	targets[2] = &o->job;
	return (struct cli_opts){ .usage = usage, .summary = summary, .tables = tables, .targets = targets, .stop_at_operand = true };
}

/* [options] NAME [options] COMMAND [ARG...] */
static int parse_named(const struct cli_opts *spec, struct submit_opts *o, int argc, char **argv)
{
	int operand = 0, r = cli_opts_parse(spec, argc, argv, &operand);

	if (r != CLI_GO)
		return r;
	o->name = argv[operand];
	if (!o->name)
		return cli_usage("no pool given: %s", spec->usage);
	argc -= operand;
	argv += operand;
	r = cli_opts_parse(spec, argc, argv, &operand);
	o->argv = argv + operand;
	return r;
}

static int check_command(const struct submit_opts *o)
{
	if (!o->argv[0])
		return cli_usage("no command given");
	if (!o->argv[0][0])
		return cli_usage("the command is empty");
	return CLI_GO;
}

/* ---- requests ---- */

/* Where the job is to run: as an absolute path, malloc'd; NULL after a message. */
static char *job_dir(const struct submit_opts *o)
{
	const char *wanted = o->job.chdir;
	char *cwd, *dir = NULL;

	if (wanted && wanted[0] == '/')
		dir = strdup(wanted);
	if (wanted && wanted[0] == '/')
		return dir;
	cwd = get_current_dir_name();
	if (!cwd || cwd[0] != '/') {
		(void)cli_error("cannot tell the working directory: %s", strerror(errno));
		free(cwd);
		return NULL;
	}
	if (!wanted)
		return cwd;
	if (asprintf(&dir, "%s/%s", cwd, wanted) < 0)
		dir = NULL;
	free(cwd);
	return dir;
}

/* What all jobs of this client have in common. */
static int put_setup(struct client *c, const struct submit_opts *o)
{
	_cleanup_(freep) char *dir = job_dir(o);
	_cleanup_(freep) char **env = NULL;
	mode_t mask = umask(0);
	size_t n;
	int r;

	(void)umask(mask);
	if (!dir)
		return CLI_FAILURE;
	env = cli_job_env(&o->job, 0, &n);
	r = env ? wire_put_setup(&c->out, o->job.set_umask ? o->job.umask : mask, dir, env) : -ENOMEM;
	return r < 0 ? cli_error("cannot give the job its environment: %s", strerror(-r)) : CLI_GO;
}

static int put_submit(struct client *c, const struct submit_opts *o, bool apply, char *const *argv)
{
	struct wire_submit s = {
		.flags = (uint8_t)((apply ? WIRE_SUBMIT_APPLY : 0) | (o->nowait ? WIRE_SUBMIT_NOWAIT : 0)),
		.timeout = o->timeout < 0 ? 0 : o->timeout == 0 ? INT64_MAX : o->timeout,
		.retries = o->retries,
	};

	return wire_put_submit(&c->out, &s, o->after, o->n_after, argv);
}

/* Connect, and put the request. CLI_GO, or a status after a message. */
static int begin(struct client *c, const struct submit_opts *o, bool apply)
{
	char *const name[] = { (char *)o->name, NULL };
	int r = client_open_named(c, name, "ppool VERB NAME COMMAND");

	if (r == CLI_GO)
		r = put_setup(c, o);
	if (r == CLI_GO && !o->from.file && put_submit(c, o, apply, o->argv) < 0)
		r = cli_error("cannot run '%s': %s", o->argv[0], strerror(E2BIG));
	return r;
}

/* ---- apply ---- */

struct apply {
	struct client client;
	sigset_t caught;
	bool queued; /* the pool has it */
	int signal;  /* that we die of when the job has ended */
};

static int catch_signals(struct apply *a)
{
	static const int list[] = { SIGINT, SIGTERM, SIGHUP };

	(void)sigemptyset(&a->caught);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		if (!sigismember(&cli_inherited.ignored, list[i]))
			(void)sigaddset(&a->caught, list[i]);
	(void)sigprocmask(SIG_BLOCK, &a->caught, NULL);
	a->client.watch_fd = signalfd(-1, &a->caught, SFD_CLOEXEC);
	return a->client.watch_fd < 0 ? cli_error("cannot watch signals: %s", strerror(errno)) : CLI_GO;
}

/* The first one ends the job; a second does not wait for that. What the pool has not taken yet ends with us. */
static int take_signal(struct apply *a)
{
	struct signalfd_siginfo info;

	if (read(a->client.watch_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	if (a->signal || !a->queued)
		cli_die_of((int)info.ssi_signo);
	a->signal = (int)info.ssi_signo;
	if (wire_put(&a->client.out, WIRE_END) < 0)
		return -ENOMEM;
	return client_send(&a->client);
}

/* Until the job has ended; its status, or another after a message. */
static int follow(struct apply *a, const char *command)
{
	struct wire_answer answer;
	struct cli_frame f;
	int r = client_send(&a->client), status = CLI_GO;

	while (r == 0 && status == CLI_GO) {
		r = client_frame(&a->client, &f);
		if (r == -EINTR) {
			r = take_signal(a);
		} else if (r == 0 && f.type == WIRE_OUTPUT) {
			status = client_write_output(&f);
		} else if (r == 0 && f.type == WIRE_ENDED) {
			return client_job_status(&f, command);
		} else if (r == 0) {
			if (f.type != WIRE_ANSWER || wire_get_answer(&f, &answer) < 0)
				r = -EPROTO;
			else if (answer.status != CLI_OK)
				status = client_refused(&answer);
			a->queued = true;
		}
	}
	return r < 0 ? client_lost(&a->client, r) : status;
}

static int apply(const struct submit_opts *o)
{
	struct apply a = { .signal = 0 };
	int status = begin(&a.client, o, true);

	if (status == CLI_GO)
		status = catch_signals(&a);
	if (status == CLI_GO)
		status = follow(&a, o->argv[0]);
	if (a.client.watch_fd > 0)
		(void)pcore_fd_close(a.client.watch_fd);
	client_close(&a.client);
	if (a.signal)
		cli_die_of(a.signal);
	return status;
}

/* ---- async: one job ---- */

static int queue_one(const struct submit_opts *o)
{
	struct client c;
	uint64_t id;
	int status = begin(&c, o, false);

	if (status == CLI_GO)
		status = client_ask(&c, &id);
	if (status == CLI_GO) {
		status = CLI_OK;
		if (pcore_buf_addf(&c.text, "%" PRIu64 "\n", id) < 0 || client_flush_text(&c) != CLI_GO)
			status = CLI_FAILURE;
	}
	client_close(&c);
	return status;
}

/* ---- async: one job for each item ---- */

struct item_feed {
	struct client client;
	const struct submit_opts *opts;
	struct cli_template *template;
	struct cli_items items;
	int fd;
	uint64_t made, answered;
	bool ended; /* no item follows */
	int status; /* CLI_GO so far */
};

static void stop(struct item_feed *f, int status)
{
	if (f->status == CLI_GO || f->status == CLI_NO)
		f->status = status;
	f->ended = true;
}

static int put_item(struct item_feed *f, const char *item, size_t len)
{
	struct cli_item one = { item, len };
	struct cli_template_args args = { .items = &one, .n_items = 1, .seq = f->made + 1 };
	char **argv;
	int r = cli_template_expand(f->template, &args, &argv);

	if (r < 0)
		return r;
	r = put_submit(&f->client, f->opts, false, argv);
	free(argv);
	f->made += r == 0; /* what was not sent has no answer */
	return r;
}

/* Make requests of the items that are there. */
static void put_items(struct item_feed *f)
{
	const char *item;
	size_t len;
	int r = 1;

	while (r > 0 && !f->ended && f->client.out.len < OUT_SIZE) {
		r = cli_items_next(&f->items, &item, &len);
		if (r == -ENODATA) {
			f->ended = true;
		} else if (r < 0) {
			int status = cli_argfile_bad(&f->items, r);

			if (status != CLI_NO) {
				stop(f, status);
			} else {
				f->status = status;
				r = 1;
			}
		} else if (r > 0) {
			int error = put_item(f, item, len);

			if (error < 0)
				stop(f, cli_error("cannot queue item %" PRIu64 ": %s", f->items.count, strerror(-error)));
		}
	}
}

static void read_items(struct item_feed *f)
{
	size_t room = 0;
	char *space = cli_items_space(&f->items, READ_LEAST, &room);
	ssize_t n = space ? read(f->fd, space, room) : -1;

	if (!space)
		stop(f, cli_error("out of memory"));
	else if (n > 0)
		cli_items_filled(&f->items, (size_t)n);
	else if (n == 0)
		cli_items_eof(&f->items);
	else if (errno != EINTR && errno != EAGAIN)
		stop(f, cli_error("cannot read '%s': %s", f->opts->from.file, strerror(errno)));
}

static void send_some(struct item_feed *f)
{
	struct pcore_buf *out = &f->client.out;
	ssize_t n = send(f->client.fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		pcore_buf_consume(out, (size_t)n);
	else if (errno == EPIPE || errno == ECONNRESET)
		pcore_buf_clear(out); /* why is to be read */
	else if (errno != EAGAIN && errno != EINTR)
		stop(f, client_lost(&f->client, -errno));
}

/* 0, or a status when nothing more is to be expected. */
static int take_answers(struct item_feed *f)
{
	struct wire_answer a;
	struct cli_frame frame;
	int r = client_receive(&f->client, MSG_DONTWAIT);

	if (r < 0 && r != -EAGAIN)
		return client_lost(&f->client, r);
	while ((r = client_parse(&f->client, &frame)) > 0) {
		if (frame.type != WIRE_ANSWER || wire_get_answer(&frame, &a) < 0)
			return client_lost(&f->client, -EPROTO);
		if (a.status != CLI_OK)
			return client_refused(&a);
		f->answered++;
		if (pcore_buf_addf(&f->client.text, "%" PRIu64 "\n", a.value) < 0)
			return cli_error("out of memory");
	}
	return r < 0 ? client_lost(&f->client, r) : CLI_OK;
}

/* Requests go out and answers come in at the same time: the pool may make us wait with the first and go on with the second. */
static int feed(struct item_feed *f)
{
	int r = CLI_OK;

	for (;;) {
		struct pollfd fds[2];
		bool hungry;

		put_items(f);
		hungry = !f->ended && !f->items.eof && f->client.out.len < OUT_SIZE;
		if (f->ended && f->answered == f->made)
			return r;
		if (f->client.text.len > 0 && client_flush_text(&f->client) != CLI_GO)
			return CLI_FAILURE;
		fds[0] = (struct pollfd){ f->client.fd, (short)(POLLIN | (f->client.out.len > 0 ? POLLOUT : 0)), 0 };
		fds[1] = (struct pollfd){ hungry ? f->fd : -1, POLLIN, 0 };
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return cli_error("cannot wait: %s", strerror(errno));
		if (fds[1].revents)
			read_items(f);
		if (fds[0].revents & POLLOUT)
			send_some(f);
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
			r = take_answers(f);
		if (r != CLI_OK)
			return r;
	}
}

static int open_items(struct item_feed *f)
{
	const struct submit_opts *o = f->opts;
	int r = cli_argfile_open(&o->from, &f->items, &f->fd);
	size_t n = 0;

	while (o->argv[n])
		n++;
	if (r == CLI_GO && cli_template_new(&f->template, o->argv, n, false) < 0)
		return cli_error("out of memory");
	return r;
}

static int queue_items(const struct submit_opts *o)
{
	struct item_feed f = { .opts = o, .fd = -EBADF, .status = CLI_GO, .client = { .fd = -EBADF, .dfd = -EBADF } };
	int status = open_items(&f);

	if (status == CLI_GO)
		status = begin(&f.client, o, false);
	if (status == CLI_GO) {
		status = feed(&f);
		if (f.client.text.len > 0 && client_flush_text(&f.client) != CLI_GO)
			status = CLI_FAILURE;
		if (status == CLI_OK && f.status != CLI_GO)
			status = f.status;
	}
	client_close(&f.client);
	cli_template_free(f.template);
	cli_items_done(&f.items);
	if (f.fd > STDERR_FILENO)
		(void)pcore_fd_close(f.fd);
	return status;
}

/* ---- the verbs ---- */

static int check_items(const struct submit_opts *o)
{
	int r = cli_argfile_check(&o->from);

	for (char **word = o->argv; r == CLI_GO && o->from.file && *word; word++)
		if (strstr(*word, "{%}"))
			return cli_usage("'{%%}' in '%s': a job has no slot before it starts (then it is in PCORE_SLOT)", *word);
	return r;
}

static void init(struct submit_opts *o)
{
	*o = (struct submit_opts){ .timeout = -1, .retries = UINT64_MAX };
	cli_job_opts_init(&o->job);
}

int ppool_apply(int argc, char **argv)
{
	struct submit_opts o;
	struct cli_opts spec = describe(&o, "ppool apply [options] NAME COMMAND [ARG...]",
		"Run COMMAND in the pool NAME and wait for it: its output, its status. Options end at COMMAND.", nothing_table);
	int r;

	init(&o);
	r = parse_named(&spec, &o, argc, argv);
	if (r == CLI_GO)
		r = check_command(&o);
	if (r == CLI_GO)
		r = apply(&o);
	cli_job_opts_done(&o.job);
	return r;
}

int ppool_async(int argc, char **argv)
{
	struct submit_opts o;
	struct cli_opts spec = describe(&o, "ppool async [options] NAME [-a FILE|-] COMMAND [ARG...]",
		"Give COMMAND to the pool NAME and print the job's id; with -a one job for each item, with its id.\n"
		"Options end at COMMAND.", cli_argfile_table);
	int r;

	init(&o);
	spec.footer = "With -a: {} the item, {.} without extension, {/} last component, {//} directory, {/.} both, {#} its\n"
		      "number. Without one the item is appended.\n";
	r = parse_named(&spec, &o, argc, argv);
	if (r == CLI_GO)
		r = check_command(&o);
	if (r == CLI_GO)
		r = check_items(&o);
	if (r == CLI_GO)
		r = o.from.file ? queue_items(&o) : queue_one(&o);
	cli_job_opts_done(&o.job);
	return r;
}

/* [options] NAME ID... -- COMMAND [ARG...] */
static int parse_after(struct cli_opts *spec, struct submit_opts *o, int argc, char **argv)
{
	int n = 1, operand = 0, r;

	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	spec->stop_at_operand = false;
	o->argv = n < argc ? argv + n + 1 : argv + argc;
	argv[n] = NULL;
	r = cli_opts_parse(spec, n, argv, &operand);
	if (r != CLI_GO)
		return r;
	if (!argv[operand] || !argv[operand + 1])
		return cli_usage("no job given to come after: %s", spec->usage);
	o->name = argv[operand];
	r = check_command(o);
	return r != CLI_GO ? r : client_parse_ids(argv + operand + 1, &o->after, &o->n_after);
}

int ppool_after(int argc, char **argv)
{
	struct submit_opts o;
	struct cli_opts spec = describe(&o, "ppool after [options] NAME ID... -- COMMAND [ARG...]",
		"Give COMMAND to the pool NAME, to run when the jobs ID have succeeded, and print its id.", nothing_table);
	int r;

	init(&o);
	r = parse_after(&spec, &o, argc, argv);
	if (r == CLI_GO)
		r = queue_one(&o);
	free(o.after);
	cli_job_opts_done(&o.job);
	return r;
}
