/* SPDX-License-Identifier: MIT */
/*
 * ask.c - what can be asked of timers that have a name: list, cancel, trigger, enter, log.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/cli/jobs.h"
#include "tools/cli/opts.h"
#include "tools/cli/rundir.h"
#include "tools/ptimer/control.h"
#include "tools/ptimer/ptimer.h"

#define AT(member) offsetof(struct ask_opts, member)

enum { READ_SIZE = 64 * 1024, FILE_MAX = 64 << 20 };

struct ask_opts {
	bool json, follow;
	char **words;
	size_t n;
};

static const struct cli_opt no_options[] = { { .name = NULL } };

static const struct cli_opt list_table[] = {
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "one JSON object for each" },
	{ .name = NULL },
};

static const struct cli_opt log_table[] = {
	{ .name = "follow", .letter = 'f', .kind = CLI_OPT_FLAG, .offset = AT(follow), .help = "go on with what is added, until it ends" },
	{ .name = NULL },
};

/* Parse, and check that there are min to max operands (0: any number). stop: options end at the first one. */
static int parse(struct ask_opts *o, int argc, char **argv, const struct cli_opts *how, const struct cli_opt *table, size_t min, size_t max)
{
	const struct cli_opt *tables[] = { table, NULL };
	void *targets[] = { o };
	struct cli_opts spec = *how;
	int operand = 0, r;

	spec.tables = tables;
	spec.targets = targets;
	r = cli_opts_parse(&spec, argc, argv, &operand);
	if (r != CLI_GO)
		return r;
	o->words = argv + operand;
	o->n = (size_t)(argc - operand);
	if (o->n < min)
		return cli_usage("something is missing: %s", how->usage);
	if (max > 0 && o->n > max)
		return cli_usage("'%s' is one word too many: %s", o->words[max], how->usage);
	return CLI_GO;
}

/* "NAME" or "NAME/TIMER". CLI_GO with both parts, or a usage error. */
static int split_name(const char *word, char name[static 65], const char **ret_timer)
{
	size_t len = strcspn(word, "/");

	*ret_timer = word[len] ? word + len + 1 : "";
	if (len <= 64)
		(void)snprintf(name, 65, "%.*s", (int)len, word);
	if (len > 64 || !cli_is_name(name) || (word[len] && !word[len + 1]))
		return cli_usage("invalid name '%s': must be NAME or NAME/TIMER", word);
	return CLI_GO;
}

/* ---- the client's side of a connection ---- */

static int lost(const char *name, int error)
{
	if (error == -EPROTO)
		return cli_error("cannot understand what '%s' says", name);
	if (error == -ECONNRESET || error == -EPIPE)
		(void)cli_error("'%s' has just ended", name);
	else
		return cli_error("cannot speak to '%s': %s", name, strerror(-error));
	return CLI_NO;
}

static int connect_to(int dfd)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	int r;

	if (fd < 0)
		return -errno;
	cli_socket_address(&addr, dfd);
	do
		r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return -ECONNRESET; /* it ends just now, or does not listen yet */
	return r < 0 ? r : TAKE_FD(fd);
}

/* Send the request and read to the end of the answer. 0 or -errno. */
static int exchange(int dfd, const struct pcore_buf *request, struct pcore_buf *answer)
{
	_cleanup_(fd_closep) int fd = connect_to(dfd);
	size_t sent = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	for (; sent < request->len; sent += n > 0 ? (size_t)n : 0) {
		n = send(fd, request->data + sent, request->len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			break; /* it may have said why */
	}
	for (;;) {
		if (pcore_buf_reserve(answer, READ_SIZE) < 0)
			return -ENOMEM;
		n = recv(fd, answer->data + answer->len, READ_SIZE, 0);
		if (n == 0)
			return answer->len > 0 ? 0 : -ECONNRESET;
		if (n < 0 && errno != EINTR)
			return -errno;
		answer->len += n > 0 ? (size_t)n : 0;
	}
}

/* Call each() for the timers that were sent. CLI_GO with *ret_text (of the last frame, or NULL without), or a status after a
 * message. */
static int read_frames(const char *name, const struct pcore_buf *b, int (*each)(void *ctx, const struct control_timer *t), void *ctx,
	const char **ret_text)
{
	struct control_answer a = { .text = NULL };
	struct control_timer t;
	struct cli_frame f;
	size_t used;
	int r = 0;

	for (size_t at = 0; at < b->len && r == 0; at += used) {
		r = cli_frame_next(b->data + at, b->len - at, &f, &used);
		if (r == 0)
			return lost(name, -ECONNRESET); /* it is not whole */
		r = r < 0 ? r : f.type == CONTROL_ANSWER ? control_get_answer(&f, &a) : control_get_timer(&f, &t);
		if (r == 0 && f.type == CONTROL_TIMER && each)
			r = each(ctx, &t);
	}
	if (r < 0)
		return lost(name, r);
	if (a.status != CLI_OK) {
		(void)cli_error("%s", a.text);
		return a.status;
	}
	*ret_text = a.text;
	return CLI_GO;
}

/* Ask one that runs. CLI_GO, with the answer's text printed if there is any; or a status after a message. */
static int ask(const char *name, int dfd, const struct pcore_buf *request)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const char *text = NULL;
	int r = exchange(dfd, request, &b), status;

	if (r < 0)
		return lost(name, r);
	status = read_frames(name, &b, NULL, NULL, &text);
	if (status != CLI_GO || !text || !*text)
		return status;
	if (pcore_buf_addf(&b, "%s\n", text) < 0 || pcore_buf_terminate(&b) < 0)
		return cli_error("out of memory");
	status = cli_print(b.data + b.len - strlen(text) - 1);
	return status == CLI_OK ? CLI_GO : status;
}

/* ---- cancel, trigger, enter ---- */

/* Look it up; it has to run. CLI_GO, or a status after a message. */
static int find_running(const char *name, int *ret_dfd)
{
	struct cli_job_info i;
	int status = cli_job_find(CLI_JOB_TIMER, name, &i, ret_dfd);

	if (status != CLI_GO)
		return status;
	if (i.state != CLI_JOB_RUNNING) {
		(void)cli_error("'%s' does not run any more", name);
		*ret_dfd = pcore_fd_close(*ret_dfd);
		status = CLI_NO;
	}
	cli_job_info_done(&i);
	return status;
}

static int ask_named(enum control_type type, const char *name, const char *timer)
{
	_cleanup_(pcore_buf_done) struct pcore_buf request = PCORE_BUF_INIT(0);
	_cleanup_(fd_closep) int dfd = -EBADF;
	int status = find_running(name, &dfd);

	if (status != CLI_GO)
		return status;
	if (control_put_name(&request, type, timer) < 0)
		return cli_error("out of memory");
	return ask(name, dfd, &request);
}

/* End all of NAME, wait until nothing is left of it, and let the name go. One that has ended already only gives its name. */
static int cancel_all(const char *name)
{
	char *const names[] = { (char *)name, NULL };
	struct cli_job_info i;
	int dfd, r, status = cli_job_find(CLI_JOB_TIMER, name, &i, &dfd);

	if (status != CLI_GO)
		return status;
	if (i.state == CLI_JOB_RUNNING)
		status = ask_named(CONTROL_CANCEL, name, "");
	cli_job_info_done(&i);
	(void)pcore_fd_close(dfd);
	if (status != CLI_GO)
		return status;
	r = cli_job_wait_any(CLI_JOB_TIMER, names, 1, INT64_MAX);
	if (r >= 0)
		r = cli_job_forget(CLI_JOB_TIMER, name);
	return r < 0 && r != -ENOENT && r != -EBUSY ? cli_error("cannot remove '%s': %s", name, strerror(-r)) : CLI_OK;
}

int ptimer_cancel(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ptimer cancel NAME[/TIMER]...",
		.summary = "End what is called NAME, and its jobs; or only a timer of its table, or an event that was entered." };
	struct ask_opts o = { 0 };
	int result = CLI_OK, status = parse(&o, argc, argv, &how, no_options, 1, 0);
	const char *timer;
	char name[65];

	for (size_t i = 0; i < o.n && status == CLI_GO; i++)
		status = split_name(o.words[i], name, &timer);
	if (status != CLI_GO)
		return status;
	for (size_t i = 0; i < o.n; i++) {
		(void)split_name(o.words[i], name, &timer);
		status = *timer ? ask_named(CONTROL_CANCEL, name, timer) : cancel_all(name);
		if (result == CLI_OK && status != CLI_GO)
			result = status;
	}
	return result;
}

int ptimer_trigger(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ptimer trigger NAME[/TIMER]",
		.summary = "Run the command of a timer now, as --overlap allows, beside its schedule." };
	struct ask_opts o = { 0 };
	int status = parse(&o, argc, argv, &how, no_options, 1, 1);
	const char *timer;
	char name[65];

	if (status == CLI_GO)
		status = split_name(o.words[0], name, &timer);
	if (status == CLI_GO)
		status = ask_named(CONTROL_TRIGGER, name, timer);
	return status == CLI_GO ? CLI_OK : status;
}

static int parse_event(const struct ask_opts *o, struct control_event *e)
{
	int64_t priority;

	if (!cli_is_name(o->words[0]))
		return cli_usage("invalid name '%s': letters, digits, and . _ - inside, at most 64", o->words[0]);
	if (pcore_parse_duration(o->words[1], &e->delay_ns) < 0 || e->delay_ns == INT64_MAX)
		return cli_usage("invalid delay '%s': must be a duration such as 90, 1.5s, 200ms, 2m, 3h or 1d", o->words[1]);
	if (pcore_parse_i64(o->words[2], INT32_MIN, INT32_MAX, &priority) < 0)
		return cli_usage("invalid priority '%s': must be a whole number from %d to %d", o->words[2], INT32_MIN, INT32_MAX);
	if (!o->words[3][0])
		return cli_usage("the command is empty");
	e->priority = (int32_t)priority;
	return CLI_GO;
}

int ptimer_enter(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ptimer enter NAME DELAY PRIORITY COMMAND [ARG...]", .stop_at_operand = true,
		.summary = "Let what is called NAME run COMMAND once after DELAY, and print what to cancel it by." };
	_cleanup_(pcore_buf_done) struct pcore_buf request = PCORE_BUF_INIT(0);
	_cleanup_(freep) char *dir = NULL;
	_cleanup_(fd_closep) int dfd = -EBADF;
	struct control_event e = { 0 };
	struct ask_opts o = { 0 };
	int r, status = parse(&o, argc, argv, &how, no_options, 4, 0);

	if (status == CLI_GO)
		status = parse_event(&o, &e);
	if (status == CLI_GO)
		status = find_running(o.words[0], &dfd);
	if (status != CLI_GO)
		return status;
	e.dir = dir = getcwd(NULL, 0);
	if (!dir)
		return cli_error("cannot find the current directory: %s", strerror(errno));
	e.umask = umask(0);
	(void)umask((mode_t)e.umask);
	r = control_put_event(&request, &e, environ, o.words + 3);
	if (r < 0)
		return cli_error("cannot enter it: %s", r == -EMSGSIZE ? "command and environment are too long" : strerror(-r));
	status = ask(o.words[0], dfd, &request);
	return status == CLI_GO ? CLI_OK : status;
}

/* ---- list ---- */

struct lister {
	struct pcore_buf *out;
	bool json;
	const struct cli_job_info *info;
};

static void put_full_name(const struct lister *l, const char *timer, char text[static 160])
{
	(void)snprintf(text, 160, "%s%s%s", l->info->name, *timer ? "/" : "", timer);
}

static const char *state_name(const struct lister *l, const struct control_timer *t)
{
	static const char *const names[CONTROL_STATES] = { "waiting", "running", "done" };

	return l->info->state == CLI_JOB_LOST ? "lost" : names[t->state];
}

static const char *next_text(const struct control_timer *t, char buf[static PCORE_WALL_TEXT_MAX])
{
	int64_t offset = t->offset_s * NS_PER_S;

	return t->next_ns ? pcore_wall_text(buf, t->next_ns + offset, offset) : NULL;
}

static void add_object(struct lister *l, const struct control_timer *t)
{
	char name[160], next[PCORE_WALL_TEXT_MAX], signal[PCORE_SIGNAL_NAME_MAX];
	struct pcore_json j = PCORE_JSON_INIT(l->out);
	struct cli_words words = t->argv;
	const char *word;

	put_full_name(l, t->name, name);
	pcore_json_object(&j);
	pcore_json_key(&j, "name");
	pcore_json_str(&j, name);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, state_name(l, t));
	pcore_json_key(&j, "next");
	pcore_json_str(&j, next_text(t, next));
	pcore_json_key(&j, "runs");
	pcore_json_u64(&j, t->runs);
	pcore_json_key(&j, "failures");
	pcore_json_u64(&j, t->failures);
	pcore_json_key(&j, "exit");
	if (t->has_run && !t->signal)
		pcore_json_i64(&j, t->status);
	else
		pcore_json_null(&j);
	pcore_json_key(&j, "signal");
	pcore_json_str(&j, t->signal ? pcore_signal_name(t->signal, signal) : NULL);
	pcore_json_key(&j, "pid");
	if (l->info->state == CLI_JOB_RUNNING)
		pcore_json_i64(&j, l->info->supervisor);
	else
		pcore_json_null(&j);
	pcore_json_key(&j, "argv");
	pcore_json_array(&j);
	while ((word = cli_word(&words)))
		pcore_json_str(&j, word);
	pcore_json_array_end(&j);
	pcore_json_object_end(&j);
	(void)pcore_buf_addc(l->out, '\n');
}

static void add_command(struct pcore_buf *b, struct cli_words words)
{
	char safe[256];
	const char *word;

	while ((word = cli_word(&words))) {
		(void)pcore_escape(safe, sizeof(safe), word, strlen(word));
		(void)pcore_buf_addf(b, " %s", safe);
	}
	(void)pcore_buf_addc(b, '\n');
}

static void add_row(struct lister *l, const struct control_timer *t)
{
	char name[160], text[PCORE_WALL_TEXT_MAX], signal[PCORE_SIGNAL_NAME_MAX], exit[16] = "-", pid[16] = "-";
	const char *next = next_text(t, text);

	put_full_name(l, t->name, name);
	if (t->signal)
		(void)snprintf(exit, sizeof(exit), "%s", pcore_signal_name(t->signal, signal) + strlen("SIG"));
	else if (t->has_run)
		(void)snprintf(exit, sizeof(exit), "%u", t->status);
	if (l->info->state == CLI_JOB_RUNNING)
		(void)snprintf(pid, sizeof(pid), "%d", l->info->supervisor);
	(void)pcore_buf_addf(l->out, "%-20s %-7s %-32s %7" PRIu64 " %8" PRIu64 " %5s %8s ", name, state_name(l, t), next ? next : "-", t->runs,
		t->failures, exit, pid);
	add_command(l->out, t->argv);
}

static int add_timer(void *ctx, const struct control_timer *t)
{
	struct lister *l = ctx;

	if (l->json)
		add_object(l, t);
	else
		add_row(l, t);
	return 0;
}

static int read_list_file(int dfd, struct pcore_buf *b)
{
	_cleanup_(fd_closep) int fd = openat(dfd, "list", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > FILE_MAX || pcore_buf_reserve(b, (size_t)st.st_size) < 0)
		return -ENOMEM;
	n = read(fd, b->data, (size_t)st.st_size);
	b->len = n > 0 ? (size_t)n : 0;
	return 0;
}

/* One that ends just now has left its list, or is not there any more. */
static int list_one(struct lister *l, int dfd)
{
	static const struct control_timer nothing = { .name = "", .state = CONTROL_DONE };
	_cleanup_(pcore_buf_done) struct pcore_buf request = PCORE_BUF_INIT(0);
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const char *text;
	int r = -ECONNRESET;

	if (l->info->state == CLI_JOB_RUNNING && control_put_name(&request, CONTROL_LIST, "") < 0)
		return cli_error("out of memory");
	if (l->info->state == CLI_JOB_RUNNING)
		r = exchange(dfd, &request, &b);
	if (r < 0 && l->info->state == CLI_JOB_DONE)
		r = read_list_file(dfd, &b);
	if (r == 0)
		return read_frames(l->info->name, &b, add_timer, l, &text);
	if (l->info->state == CLI_JOB_LOST)
		(void)add_timer(l, &nothing);
	return CLI_GO;
}

static int list_names(struct lister *l, char *const *names, bool asked)
{
	struct cli_job_info i;
	int dfd, status, result = CLI_OK;

	for (; *names; names++) {
		status = cli_job_find(CLI_JOB_TIMER, *names, &i, &dfd);
		if (status == CLI_GO) {
			l->info = &i;
			status = list_one(l, dfd);
			cli_job_info_done(&i);
			(void)pcore_fd_close(dfd);
		} else if (!asked) {
			status = CLI_GO; /* it has just gone */
		}
		if (status != CLI_GO && result == CLI_OK)
			result = status;
	}
	return result;
}

int ptimer_list(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ptimer list [--json] [NAME...]",
		.summary = "Print the timers that run under a name or in the background, the next one first, and those that have ended there." };
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	_cleanup_(pcore_buf_done) struct pcore_buf rows = PCORE_BUF_INIT(0);
	struct ask_opts o = { 0 };
	struct lister l = { .out = &rows };
	char **all = NULL;
	int status = parse(&o, argc, argv, &how, list_table, 0, 0);

	if (status == CLI_GO && o.n == 0)
		status = cli_job_names(CLI_JOB_TIMER, &all);
	if (status != CLI_GO)
		return status;
	l.json = o.json;
	status = list_names(&l, all ? all : o.words, !all);
	if (!l.json && (all || rows.len > 0))
		(void)pcore_buf_addf(&b, "%-20s %-7s %-32s %7s %8s %5s %8s  %s\n", "NAME", "STATE", "NEXT", "RUNS", "FAILURES", "EXIT", "PID", "COMMAND");
	cli_job_names_free(all);
	if (pcore_buf_add(&b, rows.data, rows.len) < 0 || pcore_buf_terminate(&b) < 0)
		return cli_error("out of memory");
	return b.len > 0 && cli_print(b.data) != CLI_OK ? CLI_FAILURE : status;
}

/* ---- log ---- */

int ptimer_log(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ptimer log [-f] NAME",
		.summary = "Print what the timers NAME and their jobs have written in the background." };
	struct ask_opts o = { 0 };
	struct cli_job_info i;
	int dfd, r, status = parse(&o, argc, argv, &how, log_table, 1, 1);

	if (status == CLI_GO)
		status = cli_job_find(CLI_JOB_TIMER, o.words[0], &i, &dfd);
	if (status != CLI_GO)
		return status;
	if (faccessat(dfd, "stdout", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		(void)cli_error("'%s' has no log: it runs in the foreground", o.words[0]);
		status = CLI_NO;
	} else {
		r = cli_job_print_logs(&i, dfd, o.follow);
		status = r < 0 ? cli_error("cannot print the log of '%s': %s", o.words[0], strerror(-r)) : CLI_OK;
	}
	cli_job_info_done(&i);
	(void)pcore_fd_close(dfd);
	return status;
}
