/* SPDX-License-Identifier: MIT */
/*
 * control.c - answers what is asked of timers that have a name.
 *
 * A connection has one request and its answer. It has one operation at a time, and is freed when that comes home and nothing
 * more is to be done.
 */
#include "tools/ptimer/control.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/ptimer/background.h"
#include "tools/ptimer/runner.h"

#define ACCEPT_AGAIN_NS (100 * NS_PER_MS)

enum { CONNS_MAX = 256, READ_SIZE = 4 * 1024, TEXT_MAX = 256 };

struct conn {
	struct control *control;
	struct pcore_list link;
	struct pcore_op op;
	int fd;
	struct pcore_buf in, out;
	size_t sent;
	bool answered;
};

/* ---- places: where the events of a client run ---- */

static bool is_place(const struct place *p, const struct control_event *e)
{
	size_t dir_len = strlen(e->dir) + 1;

	return p->umask == e->umask && strcmp(p->dir, e->dir) == 0 && p->len == dir_len + e->env.len &&
	       (e->env.len == 0 || memcmp(p->words + dir_len, e->env.data, e->env.len) == 0);
}

static void place_put(struct place *p)
{
	if (!p || --p->refs > 0)
		return;
	pcore_list_del(&p->link);
	free(p->env);
	free(p->words);
	free(p);
}

/* A variable that jobs are given anew. */
static bool is_ours(const char *var)
{
	return strncmp(var, "PCORE_SEQ=", 10) == 0 || strncmp(var, "PCORE_SLOT=", 11) == 0 || strncmp(var, "PCORE_ATTEMPT=", 14) == 0;
}

static struct place *place_new(const struct control_event *e)
{
	size_t dir_len = strlen(e->dir) + 1;
	struct place *p = calloc(1, sizeof(*p));
	char *word;

	if (!p)
		return NULL;
	pcore_list_init(&p->link);
	p->refs = 1;
	p->umask = (mode_t)e->umask;
	p->len = dir_len + e->env.len;
	p->words = malloc(p->len);
	p->env = calloc(e->env.n + 1, sizeof(*p->env));
	if (!p->words || !p->env) {
		place_put(p);
		return NULL;
	}
	memcpy(p->words, e->dir, dir_len);
	if (e->env.len > 0)
		memcpy(p->words + dir_len, e->env.data, e->env.len);
	p->dir = p->words;
	word = p->words + dir_len;
	for (size_t i = 0; i < e->env.n; i++, word += strlen(word) + 1)
		if (!is_ours(word))
			p->env[p->n_env++] = word;
	return p;
}

/* Equal ones are kept once. */
static struct place *place_get(struct control *c, const struct control_event *e)
{
	struct place *p;

	PCORE_LIST_FOREACH_SAFE(node, &c->places) {
		p = container_of(node, struct place, link);
		if (is_place(p, e)) {
			p->refs++;
			return p;
		}
	}
	p = place_new(e);
	if (p)
		pcore_list_add_head(&c->places, &p->link);
	return p;
}

/* ---- events ---- */

/* What enter has added. */
struct event {
	struct ptimer_opts opts;
	struct place *place;
	char name[24]; /* "+1" */
	char *words;
	char *argv[];
};

static void event_free(void *owner)
{
	struct event *e = owner;

	place_put(e->place);
	ptimer_opts_done(&e->opts);
	free(e->words);
	free(e);
}

static struct event *event_new(struct control *c, const struct control_event *from)
{
	struct event *e = calloc(1, sizeof(*e) + (from->argv.n + 1) * sizeof(e->argv[0]));
	char *word;

	if (!e)
		return NULL;
	ptimer_opts_init(&e->opts);
	e->place = place_get(c, from);
	e->words = malloc(from->argv.len);
	if (!e->place || !e->words) {
		event_free(e);
		return NULL;
	}
	word = memcpy(e->words, from->argv.data, from->argv.len);
	for (size_t i = 0; i < from->argv.n; i++, word += strlen(word) + 1)
		e->argv[i] = word;
	e->opts.verb = PTIMER_AFTER;
	e->opts.duration = from->delay_ns;
	e->opts.command = e->argv;
	return e;
}

static int enter(struct control *c, const struct control_event *from, char text[static TEXT_MAX])
{
	struct runner *r = c->runner;
	struct event *e = event_new(c, from);
	struct timer *t;

	if (!e)
		return -ENOMEM;
	(void)snprintf(e->name, sizeof(e->name), "+%" PRIu64, ++r->last_id);
	if (runner_add(r, &e->opts, e->name, from->priority, false, &t) != CLI_GO) {
		event_free(e);
		return -ENOMEM;
	}
	t->id = r->last_id;
	t->jobs.place = e->place;
	t->owner = e;
	t->free_owner = event_free;
	(void)snprintf(text, TEXT_MAX, "%s/%s", r->background->name, e->name);
	return 0;
}

/* ---- the list ---- */

struct row {
	struct timer *timer;
	int64_t next; /* INT64_MAX: never */
};

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	const struct agenda_item *i = &x->timer->item, *j = &y->timer->item;

	if (x->next != y->next)
		return x->next < y->next ? -1 : 1;
	if (i->priority != j->priority)
		return i->priority < j->priority ? -1 : 1;
	return i->entry < j->entry ? -1 : 1;
}

static int put_timer(struct pcore_buf *b, const struct row *row, bool over)
{
	const struct timer *t = row->timer;
	const struct timer_jobs *jobs = &t->jobs;
	bool due = row->next != INT64_MAX && !over;
	struct control_timer c = {
		.name = t->name,
		.state = jobs->n_started > 0 && !over ? CONTROL_RUNNING : due ? CONTROL_WAITING : CONTROL_DONE,
		.next_ns = due ? row->next : 0,
		.offset_s = due ? (int32_t)(pcore_zone_at(t->zone, row->next).offset_ns / NS_PER_S) : 0,
		.runs = t->opts->command ? jobs->runs : t->n,
		.failures = jobs->failures,
		.has_run = jobs->status >= 0,
		.status = jobs->status >= 0 ? (uint8_t)jobs->status : 0,
		.signal = (uint8_t)jobs->signal,
	};

	return control_put_timer(b, &c, t->opts->command);
}

int control_put_list(struct pcore_buf *b, struct runner *r, bool over)
{
	_cleanup_(freep) struct row *rows = NULL;
	size_t n = 0;
	int64_t due;
	int e = 0;

	PCORE_LIST_FOREACH_SAFE(node, &r->timers)
		n++;
	rows = calloc(n + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	n = 0;
	PCORE_LIST_FOREACH_SAFE(node, &r->timers) {
		struct timer *t = container_of(node, struct timer, link);

		rows[n].timer = t;
		rows[n++].next = !t->over && timer_next(t, &due) == 0 ? timer_wall(t, &r->clocks, due) : INT64_MAX;
	}
	qsort(rows, n, sizeof(*rows), compare);
	for (size_t i = 0; i < n && e == 0; i++)
		e = put_timer(b, &rows[i], over);
	return e;
}

/* ---- requests ---- */

__attribute__((format(printf, 3, 4))) static int answer(struct conn *c, int status, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return control_put_answer(&c->out, (uint8_t)status, text);
}

static const char *our_name(const struct conn *c)
{
	return c->control->runner->background->name;
}

/* "": the only one there is. NULL after an answer. */
static struct timer *find(struct conn *c, const char *name)
{
	struct runner *r = c->control->runner;
	const struct pcore_list *first = r->timers.next;
	struct timer *t = runner_find(r, name);

	if (!t && !*name && first != &r->timers && first->next == &r->timers)
		t = container_of(first, struct timer, link);
	if (!t && *name)
		(void)answer(c, CLI_NO, "'%s' has no timer '%s'", our_name(c), name);
	else if (!t && first == &r->timers)
		(void)answer(c, CLI_NO, "'%s' has no timer", our_name(c));
	else if (!t)
		(void)answer(c, CLI_NO, "'%s' has several timers: say which, as NAME/TIMER", our_name(c));
	return t;
}

static int cancel(struct conn *c, const char *name)
{
	struct runner *r = c->control->runner;
	struct timer *t;

	if (!*name) {
		runner_cancel(r);
		return answer(c, CLI_OK, "%s", "");
	}
	t = find(c, name);
	if (!t)
		return 0;
	jobs_end_timer(&r->jobs, &t->jobs);
	runner_remove(r, t);
	return answer(c, CLI_OK, "%s", "");
}

static int trigger(struct conn *c, const char *name)
{
	struct runner *r = c->control->runner;
	struct timer *t = find(c, name);
	int e;

	if (!t)
		return 0;
	e = runner_trigger(r, t);
	if (e > 0)
		return answer(c, CLI_OK, "%s", "");
	if (e == 0)
		return answer(c, CLI_NO, "'%s%s%s' still runs, and --overlap skips this run", our_name(c), *t->name ? "/" : "", t->name);
	return answer(c, e == -EAGAIN ? CLI_BUSY : CLI_FAILURE, "cannot run '%s': %s", our_name(c),
		e == -EAGAIN ? "the reader of its lines is slow" : strerror(-e));
}

static int serve_named(struct conn *c, const struct cli_frame *f)
{
	struct runner *r = c->control->runner;
	const char *name;
	int e = control_get_name(f, &name);

	if (e < 0)
		return e;
	if (f->type == CONTROL_LIST) {
		e = control_put_list(&c->out, r, false);
		return e < 0 ? e : answer(c, CLI_OK, "%s", "");
	}
	if (r->ending || r->jobs.drained)
		return answer(c, CLI_NO, "'%s' is ending", our_name(c));
	return f->type == CONTROL_CANCEL ? cancel(c, name) : trigger(c, name);
}

static int serve_enter(struct conn *c, const struct cli_frame *f)
{
	struct runner *r = c->control->runner;
	struct control_event event;
	char text[TEXT_MAX];
	int e = control_get_event(f, &event);

	if (e < 0)
		return e;
	if (r->ending || r->jobs.drained)
		return answer(c, CLI_NO, "'%s' is ending", our_name(c));
	e = enter(c->control, &event, text);
	return e < 0 ? e : answer(c, CLI_OK, "%s", text);
}

static void serve(struct conn *c, const struct cli_frame *f)
{
	int e = -EPROTO;

	switch (f->type) {
	case CONTROL_LIST:
	case CONTROL_CANCEL:
	case CONTROL_TRIGGER:
		e = serve_named(c, f);
		break;
	case CONTROL_ENTER:
		e = serve_enter(c, f);
		break;
	default:
		break;
	}
	if (e == -EPROTONOSUPPORT)
		(void)answer(c, CLI_VERSION, "'%s' is run by another version", our_name(c));
	else if (e < 0)
		(void)answer(c, CLI_FAILURE, "cannot do that: %s", strerror(-e));
}

/* ---- connections ---- */

static void accept_next(struct control *c);

static void conn_free(struct conn *c)
{
	struct control *control = c->control;

	pcore_list_del(&c->link);
	c->fd = pcore_fd_close(c->fd);
	pcore_buf_done(&c->in);
	pcore_buf_done(&c->out);
	free(c);
	control->n_conns--;
	accept_next(control);
}

/* What the socket takes goes at once, so that an answer is on its way before we end; then the loop waits for the reader. */
static int send_some(struct conn *c)
{
	ssize_t n = 0;

	while (c->sent < c->out.len && (n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		c->sent += (size_t)n;
	if (c->sent == c->out.len || (n < 0 && errno != EAGAIN && errno != EINTR))
		return -ENODATA;
	return pcore_op_write(c->control->runner->loop, &c->op, c->fd, c->out.data + c->sent, c->out.len - c->sent, -1);
}

static int read_some(struct conn *c)
{
	if (pcore_buf_reserve(&c->in, READ_SIZE) < 0)
		return -ENOMEM;
	return pcore_op_read(c->control->runner->loop, &c->op, c->fd, c->in.data + c->in.len, READ_SIZE, -1);
}

/* The request is there, whole or in part. */
static void look(struct conn *c)
{
	struct cli_frame f;
	size_t used;
	int r = cli_frame_next(c->in.data, c->in.len, &f, &used);

	if (r == 0)
		return;
	c->answered = true;
	if (r > 0)
		serve(c, &f);
	runner_turn_soon(c->control->runner);
}

static void conn_step(struct pcore_op *op, int res)
{
	struct conn *c = container_of(op, struct conn, op);

	if (res > 0 && c->answered) {
		c->sent += (size_t)res;
	} else if (res > 0) {
		c->in.len += (size_t)res;
		look(c);
	}
	if (res <= 0 || c->control->stopped || (c->answered ? send_some(c) : read_some(c)) < 0)
		conn_free(c);
}

static void conn_new(struct control *control, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)pcore_fd_close(fd);
		return;
	}
	c->control = control;
	c->fd = fd;
	c->op.done = conn_step;
	pcore_list_init(&c->link);
	pcore_list_add_tail(&control->conns, &c->link);
	control->n_conns++;
	if (!cli_peer_is_ours(fd)) {
		(void)answer(c, CLI_AUTH, "'%s' belongs to another user", our_name(c));
		c->answered = true;
	}
	if ((c->answered ? send_some(c) : read_some(c)) < 0)
		conn_free(c);
}

static void accepted(struct pcore_op *op, int res)
{
	struct control *c = container_of(op, struct control, accept_op);

	if (res >= 0 && c->stopped)
		(void)pcore_fd_close(res);
	else if (res >= 0)
		conn_new(c, res);
	else if (res != -ECANCELED && res != -ECONNABORTED && res != -EINTR) /* short of descriptors or memory */
		(void)pcore_op_timer(c->runner->loop, &c->again_op, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), ACCEPT_AGAIN_NS));
	accept_next(c);
}

static void accept_again(struct pcore_op *op, int res)
{
	(void)res;
	accept_next(container_of(op, struct control, again_op));
}

static void accept_next(struct control *c)
{
	if (!c->stopped && !pcore_op_live(&c->accept_op) && !pcore_op_live(&c->again_op) && c->n_conns < CONNS_MAX)
		(void)pcore_op_accept(c->runner->loop, &c->accept_op, c->listen_fd);
}

int control_start(struct control *c, struct runner *r)
{
	struct sockaddr_un addr;

	*c = (struct control){ .runner = r, .accept_op = { .done = accepted }, .again_op = { .done = accept_again } };
	pcore_list_init(&c->conns);
	pcore_list_init(&c->places);
	cli_socket_address(&addr, r->background->dfd);
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listen_fd < 0 || bind(c->listen_fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(c->listen_fd, SOMAXCONN) < 0)
		return cli_error("cannot make the socket of '%s': %s", r->background->name, strerror(errno));
	accept_next(c);
	return CLI_GO;
}

void control_stop(struct control *c)
{
	if (c->listen_fd < 0)
		return;
	c->stopped = true;
	pcore_op_cancel(c->runner->loop, &c->accept_op);
	pcore_op_cancel(c->runner->loop, &c->again_op);
	PCORE_LIST_FOREACH_SAFE(node, &c->conns)
		pcore_op_cancel(c->runner->loop, &container_of(node, struct conn, link)->op);
}

void control_done(struct control *c)
{
	if (c->listen_fd < 0)
		return;
	assert(c->n_conns == 0);
	c->listen_fd = pcore_fd_close(c->listen_fd);
}
