/* SPDX-License-Identifier: MIT */
/*
 * calls.c - calls shared out among the processes of a pool, by whichever thread waits for one of them.
 *
 * A process is sent as many calls ahead as it answers in AHEAD_NS, and one as long as nothing is known: so short ones travel
 * many at a time, and none waits behind a long one while another process is idle. Those it has not begun when it dies
 * are given to others.
 */
#include "libcore/api/calls.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AHEAD_NS NS_PER_MS

enum { AHEAD_MAX = 512, OUT_MAX = 256 * 1024, UNFIT_MAX = 3 };

static bool alive(const struct worker_process *p)
{
	return p->fd >= 0;
}

static bool has_work(const struct pcore_workers *w)
{
	return !pcore_list_empty(&w->queue) || (w->map && w->map->next < w->map->n);
}

/* ---- tasks ---- */

static void complete_item(struct pcore_workers *w, struct pcore_task *t, int status, const char *data, size_t size)
{
	struct map *m = t->map;

	if (m->results && size > m->result_size && status == 0)
		status = -EMSGSIZE;
	if (m->results) {
		char *slot = m->results + t->index * m->result_size;

		size = size < m->result_size ? size : m->result_size;
		if (size > 0)
			memcpy(slot, data, size);
		memset(slot + size, 0, m->result_size - size);
	}
	if (m->statuses)
		m->statuses[t->index] = status;
	m->failed |= status != 0;
	m->finished++;
	pcore_list_add_tail(&w->spare, &t->link);
}

void pcore_calls_complete(struct pcore_workers *w, struct pcore_task *t, int status, const char *data, size_t size)
{
	pcore_list_del(&t->link);
	if (t->state == TASK_RUNNING)
		w->n_running--;
	t->state = TASK_DONE;
	if (t->map) {
		complete_item(w, t, status, data, size);
		return;
	}
	if (t->dropped) {
		free(t);
		return;
	}
	if (size > 0) {
		t->out = malloc(size);
		if (t->out)
			memcpy(t->out, data, size);
		else if (status == 0)
			status = -ENOMEM;
		t->out_size = t->out ? size : 0;
	}
	t->status = status;
	pcore_list_add_tail(&w->done, &t->link);
}

/* The next item of the map as a task, or NULL: there is no memory for one more at the moment. */
static struct pcore_task *next_item(struct pcore_workers *w)
{
	struct map *m = w->map;
	struct pcore_list *node = pcore_list_pop(&w->spare);
	struct pcore_task *t = node ? container_of(node, struct pcore_task, link) : malloc(sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct pcore_task){ .pool = w, .map = m, .index = m->next, .fn = m->fn, .star_fn = m->star_fn };
	pcore_list_init(&t->link);
	if (m->star_fn) {
		t->item = m->args + m->next * m->n_args;
		t->size = m->n_args;
	} else {
		t->item = m->items + m->next * m->item_size;
		t->size = m->item_size;
	}
	m->next++;
	return t;
}

static struct pcore_task *take_task(struct pcore_workers *w)
{
	struct pcore_list *node = pcore_list_pop(&w->queue);

	if (node)
		return container_of(node, struct pcore_task, link);
	return has_work(w) ? next_item(w) : NULL;
}

/* ---- sending ---- */

static size_t frame_size(const struct pcore_task *t)
{
	const struct pcore_arg *args = t->item;
	size_t size = 0;

	if (t->fn)
		return t->size;
	size = frame_padded((t->size + 1) * sizeof(uint64_t));
	for (size_t i = 0; i < t->size; i++)
		size += frame_padded(args[i].size);
	return size;
}

/* There is room. */
static void put(struct pcore_buf *b, const void *data, size_t size)
{
	size_t padded = frame_padded(b->len + size) - (b->len + size);

	if (size > 0)
		memcpy(b->data + b->len, data, size);
	memset(b->data + b->len + size, 0, padded);
	b->len += size + padded;
}

static void put_args(struct pcore_buf *b, const struct pcore_arg *args, size_t n)
{
	uint64_t sizes[PCORE_POOL_ARGS_MAX + 1] = { n };

	for (size_t i = 0; i < n; i++)
		sizes[i + 1] = args[i].size;
	put(b, sizes, (n + 1) * sizeof(sizes[0]));
	for (size_t i = 0; i < n; i++)
		put(b, args[i].data, args[i].size);
}

static void give(struct pcore_workers *w, struct worker_process *p, struct pcore_task *t)
{
	struct request q = { .seq = p->given + 1, .size = frame_size(t), .fn = t->fn, .star_fn = t->star_fn };
	int r = pcore_buf_reserve(&p->out, sizeof(q) + frame_padded(q.size));

	if (r < 0) {
		pcore_calls_complete(w, t, r, NULL, 0);
		return;
	}
	put(&p->out, &q, sizeof(q));
	if (t->fn)
		put(&p->out, t->item, t->size);
	else
		put_args(&p->out, t->item, t->size);
	if (p->n == 0)
		p->since = pcore_now_ns();
	pcore_list_add_tail(&p->tasks, &t->link);
	t->state = TASK_RUNNING;
	w->n_running++;
	p->n++;
	p->given++;
	p->closing = w->spec.tasks_max > 0 && p->given == w->spec.tasks_max;
}

static bool can_take(const struct worker_process *p, unsigned ahead)
{
	return alive(p) && p->ready && !p->closing && p->n < ahead && p->out.len - p->sent < OUT_MAX;
}

static void give_up_to(struct pcore_workers *w, struct worker_process *p, unsigned ahead)
{
	while (can_take(p, ahead) && has_work(w)) {
		struct pcore_task *t = take_task(w);

		if (!t)
			break;
		give(w, p, t);
	}
}

static void flush(struct worker_process *p)
{
	while (p->sent < p->out.len) {
		ssize_t n = send(p->fd, p->out.data + p->sent, p->out.len - p->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* it is full; or the end of the process is read soon */
		p->sent += (size_t)n;
	}
	if (p->sent == 0)
		return;
	pcore_buf_clear(&p->out);
	p->sent = 0;
	if (p->closing)
		(void)shutdown(p->fd, SHUT_WR);
}

/* The idle ones first; then what they can take ahead, when that has become little. */
static void share_out(struct pcore_workers *w)
{
	for (unsigned i = 0; i < w->n; i++)
		give_up_to(w, &w->procs[i], 1);
	for (unsigned i = 0; i < w->n; i++) {
		struct worker_process *p = &w->procs[i];

		if (p->n <= p->ahead / 2)
			give_up_to(w, p, p->ahead);
		if (alive(p))
			flush(p);
	}
}

/* ---- receiving ---- */

static void answered(struct pcore_workers *w, struct worker_process *p, const struct answer *a, const char *data)
{
	if (a->seq == 0) {
		p->ready = a->status == 0;
		w->unfit_status = (int)a->status;
		return;
	}
	if (a->seq != p->answered + 1 || p->n == 0)
		return; /* one we have seen already */
	p->answered++;
	p->n--;
	w->unfit = 0;
	pcore_calls_complete(w, container_of(p->tasks.next, struct pcore_task, link), (int)a->status, data, a->size);
}

/* Whole frames only. How many bytes they had. */
static size_t take_answers(struct pcore_workers *w, struct worker_process *p, const char *data, size_t len)
{
	struct answer a;
	size_t at = 0;

	while (len - at >= sizeof(a)) {
		memcpy(&a, data + at, sizeof(a));
		if (len - at - sizeof(a) < frame_padded(a.size))
			break;
		answered(w, p, &a, data + at + sizeof(a));
		at += sizeof(a) + frame_padded(a.size);
	}
	return at;
}

/* What came tells how long a call takes. */
static void reckon(struct worker_process *p, uint64_t n)
{
	int64_t now = pcore_now_ns(), service, ahead;

	if (n == 0)
		return;
	service = (now - p->since) / (int64_t)n;
	p->service = p->service ? (3 * p->service + service) / 4 : service;
	p->since = now;
	ahead = AHEAD_NS / (p->service > 0 ? p->service : 1);
	p->ahead = ahead < 1 ? 1 : ahead > AHEAD_MAX ? AHEAD_MAX : (unsigned)ahead;
}

static void hand_back(struct pcore_workers *w, struct worker_process *p)
{
	while (!pcore_list_empty(&p->tasks)) { /* the last one first, so that they stay in order */
		struct pcore_task *t = container_of(p->tasks.prev, struct pcore_task, link);

		pcore_list_del(&t->link);
		t->state = TASK_QUEUED;
		w->n_running--;
		pcore_list_add_head(&w->queue, &t->link);
	}
	p->n = 0;
}

/* It is dead. What it has done counts, what it was at has failed, the rest is done by others. */
static void lost(struct pcore_workers *w, struct worker_process *p)
{
	struct pcore_exit e;
	bool was_ready;

	pcore_worker_process_end(p, true, &e);
	(void)take_answers(w, p, p->shared->answers, p->shared->len < SHARED_SIZE ? p->shared->len : 0);
	was_ready = p->ready;
	if (p->n > 0 && p->shared->begun > p->answered) {
		struct pcore_task *t = container_of(p->tasks.next, struct pcore_task, link);

		t->signal = e.code == CLD_EXITED ? 0 : e.status;
		pcore_calls_complete(w, t, -EOWNERDEAD, NULL, 0);
	} else if (!was_ready || p->answered == 0) {
		w->unfit++;
	}
	hand_back(w, p);
	pcore_worker_process_done(p);
}

static void receive(struct pcore_workers *w, struct worker_process *p)
{
	uint64_t before = p->answered;
	ssize_t n;
	int r = pcore_buf_reserve(&p->in, RECEIVE_SIZE);

	if (r < 0)
		return; /* there may be memory the next time */
	n = recv(p->fd, p->in.data + p->in.len, p->in.cap - p->in.len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lost(w, p);
		return;
	}
	p->in.len += (size_t)n;
	pcore_buf_consume(&p->in, take_answers(w, p, p->in.data, p->in.len));
	reckon(p, p->answered - before);
}

static bool has_task_of(const struct worker_process *p, const struct map *m)
{
	for (const struct pcore_list *node = p->tasks.next; node != &p->tasks; node = node->next)
		if (!m || container_of(node, struct pcore_task, link)->map == m)
			return true;
	return false;
}

void pcore_calls_abort(struct pcore_workers *w, const struct map *m)
{
	for (unsigned i = 0; i < w->n; i++) {
		struct worker_process *p = &w->procs[i];
		struct pcore_exit e;

		if (!alive(p) || !has_task_of(p, m))
			continue;
		pcore_worker_process_end(p, true, &e);
		hand_back(w, p);
		pcore_worker_process_done(p);
	}
}

/* ---- processes ---- */

static int start_one(struct pcore_workers *w, struct worker_process *p)
{
	struct worker_start start = {
		.init = w->spec.init, .arg = w->spec.arg, .parent_pidfd = w->parent_pidfd, .close_fds = w->fds
	};

	for (unsigned i = 0; i < w->n; i++)
		if (alive(&w->procs[i]))
			w->fds[start.n_close++] = w->procs[i].fd;
	return pcore_worker_process_start(p, &start);
}

int pcore_calls_start(struct pcore_workers *w)
{
	unsigned n_alive = 0;
	int r = w->unfit < UNFIT_MAX ? 0 : -ENOTRECOVERABLE;

	for (unsigned i = 0; i < w->n; i++) {
		if (!alive(&w->procs[i]) && r == 0)
			r = start_one(w, &w->procs[i]);
		n_alive += alive(&w->procs[i]);
	}
	return n_alive > 0 ? 0 : r;
}

int pcore_calls_turn(struct pcore_workers *w, int64_t deadline)
{
	int r = has_work(w) ? pcore_calls_start(w) : 0;

	if (r < 0)
		return r;
	share_out(w);
	for (unsigned i = 0; i < w->n; i++)
		w->polls[i] = (struct pollfd){ .fd = w->procs[i].fd,
			.events = (short)(POLLIN | (w->procs[i].sent < w->procs[i].out.len ? POLLOUT : 0)) };
	r = pcore_poll_until(w->polls, w->n, deadline);
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	for (unsigned i = 0; i < w->n; i++)
		if (alive(&w->procs[i]) && w->polls[i].revents & ~POLLOUT)
			receive(w, &w->procs[i]);
	return 0;
}
