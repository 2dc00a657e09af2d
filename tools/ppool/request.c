/* SPDX-License-Identifier: MIT */
/*
 * request.c - what clients ask a named pool for. The requests of a connection are answered one after the other.
 *
 * Whoever waits for something has a state that says for what; request_job_over() and the like find them and go on. A result
 * belongs to the connection it is sent to (job->client) until that drops it or asks for something else: two that fetch
 * the same never both get it, and one that dies loses nothing.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/ppool/server.h"

#define POOL(c) ((c)->server->opts->name)

static bool is_fetched_by(const struct job *job, const struct conn *c)
{
	return job && !job->apply && job->client == c;
}

static void bad_request(struct conn *c)
{
	conn_answer(c, CLI_FAILURE, 0, "the pool '%s' does not understand what it is asked", POOL(c));
	c->state = CONN_CLOSING;
}

/* What is there to say of a job that has no result for anybody? */
static void no_such_job(struct conn *c, const struct job *job, uint64_t id)
{
	if (job && job->state == JOB_CANCELLED)
		conn_answer(c, CLI_NO, id, "job %" PRIu64 " was cancelled", id);
	else
		conn_answer(c, CLI_NO, id, "there is no job %" PRIu64 " in the pool '%s', or its result was fetched", id, POOL(c));
}

/* ---- results ---- */

static void fetch(struct conn *c, struct job *job)
{
	job->client = c;
	c->job = job;
	c->stream = 0;
	c->offset = 0;
	c->state = CONN_SENDING;
	c->server->n_fetching++;
}

/* The result stays; somebody else may have waited for it. */
static void let_go_of_result(struct conn *c)
{
	uint64_t id = c->job->id;

	c->job->client = NULL;
	c->job = NULL;
	c->server->n_fetching--;
	PCORE_LIST_FOREACH_SAFE(node, &c->server->conns) {
		struct conn *other = container_of(node, struct conn, link);

		if (other->state == CONN_GETTING && other->id == id)
			conn_due(other);
	}
}

/* False: it is not there yet. */
static bool get(struct conn *c)
{
	struct job *job = table_find(&c->server->table, c->id);

	if (!job || job->apply || job->state == JOB_CANCELLED) {
		no_such_job(c, job, c->id);
		c->state = CONN_IDLE;
	} else if (!job_is_over(job) || job->client) {
		return false;
	} else {
		fetch(c, job);
	}
	return true;
}

static void start_get(struct conn *c, const struct wire_ref *ref)
{
	c->id = ref->id;
	c->state = CONN_GETTING;
	(void)get(c);
}

/* The job that was applied is over and its client has all, or is gone. */
static void forget_own(struct conn *c, struct job *job)
{
	c->job = NULL;
	c->server->n_fetching--;
	server_forget(c->server, job);
}

static void send_end(struct conn *c, struct job *job)
{
	const struct result *r = job->result;
	struct wire_ended e = {
		.id = job->id,
		.status = r->status,
		.error = (uint32_t)r->error,
		.step = pcore_step_name(r->step),
		.subject = r->subject ? r->subject : "",
	};

	conn_check(c, wire_put_ended(&c->out, &e));
	c->state = CONN_IDLE;
	if (job->apply)
		forget_own(c, job);
}

/* A piece of the result, or its end. */
static void send_result(struct conn *c)
{
	struct job *job = c->job;
	char piece[PIECE];
	ssize_t n = result_read(job->result, c->stream, c->offset, piece, sizeof(piece));

	if (n < 0) {
		conn_answer(c, CLI_FAILURE, job->id, "cannot read the output of job %" PRIu64 ": %s", job->id, strerror((int)-n));
		c->state = CONN_IDLE;
	} else if (n > 0) {
		c->offset += (uint64_t)n;
		conn_check(c, wire_put_output(&c->out, (uint8_t)c->stream, piece, (size_t)n));
	} else if (c->stream == 0) {
		c->stream = 1;
		c->offset = 0;
	} else {
		send_end(c, job);
	}
}

static void drop_result(struct conn *c, const struct wire_ref *ref)
{
	struct job *job = c->job;

	if (!is_fetched_by(job, c) || job->id != ref->id) {
		conn_answer(c, CLI_NO, ref->id, "the result of job %" PRIu64 " was not fetched", ref->id);
		return;
	}
	let_go_of_result(c);
	server_forget(c->server, job);
	conn_answer(c, CLI_OK, ref->id, "%s", "");
}

/* ---- jobs ---- */

static void setup(struct conn *c, const struct wire_setup *w)
{
	struct table *t = &c->server->table;
	struct shared *env = shared_get(t, w->env.data, w->env.len), *dir = shared_get(t, w->dir, strlen(w->dir) + 1);

	shared_put(t, c->env);
	shared_put(t, c->dir);
	c->env = env;
	c->dir = dir;
	c->umask = w->umask;
	if (!env || !dir)
		conn_drop(c);
}

/* A refused job ends the conversation: what was sent behind it was meant to follow it. */
static void refuse(struct conn *c, int status, const char *why)
{
	conn_answer(c, status, 0, "the pool '%s' %s", POOL(c), why);
	c->state = CONN_CLOSING;
	pcore_list_del(&c->parked);
	server_room(c->server);
}

static void submit(struct conn *c, const struct wire_submit *w)
{
	struct server *s = c->server;
	uint64_t unknown = 0;
	struct job *job;
	int r = table_add(&s->table, w, c->env, c->dir, c->umask, &job, &unknown);

	if (r == -ENOENT) {
		no_such_job(c, NULL, unknown);
		c->state = CONN_CLOSING;
		return;
	}
	if (r < 0) {
		refuse(c, CLI_FAILURE, "is out of memory");
		return;
	}
	c->state = CONN_IDLE;
	if ((w->flags & WIRE_SUBMIT_APPLY) && job_is_over(job)) { /* one that it was to follow has failed */
		no_such_job(c, job, job->id);
		c->state = CONN_CLOSING;
		return;
	}
	if (w->flags & WIRE_SUBMIT_APPLY) {
		job->apply = true;
		job->client = c;
		c->job = job;
		c->state = CONN_APPLYING;
	}
	conn_answer(c, CLI_OK, job->id, "%s", "");
	pcore_pool_kick(s->pool);
}

/* False: there is no room, and the frame is to be looked at again. */
static bool try_submit(struct conn *c, const struct cli_frame *f)
{
	struct server *s = c->server;
	struct wire_submit w;

	if (wire_get_submit(f, &w) < 0 || !c->env) {
		bad_request(c);
		return true;
	}
	if (s->closed) {
		refuse(c, CLI_DRAINED, "is closed");
		return true;
	}
	if (table_is_full(&s->table) || (!pcore_list_empty(&s->parked) && s->parked.next != &c->parked)) {
		if (w.flags & WIRE_SUBMIT_NOWAIT) {
			refuse(c, CLI_BUSY, "is full");
			return true;
		}
		c->state = CONN_QUEUEING;
		if (pcore_list_empty(&c->parked))
			pcore_list_add_tail(&s->parked, &c->parked);
		return false;
	}
	pcore_list_del(&c->parked);
	submit(c, &w);
	server_room(s);
	return true;
}

static void cancel(struct conn *c, const struct wire_ref *ref)
{
	struct server *s = c->server;
	struct job *job = table_find(&s->table, ref->id);

	if (!job || job->state == JOB_CANCELLED) {
		no_such_job(c, job, ref->id);
		return;
	}
	if (job_is_over(job)) {
		conn_answer(c, CLI_NO, ref->id, "job %" PRIu64 " has ended", ref->id);
		return;
	}
	if (job->state != JOB_RUNNING) {
		table_cancel(&s->table, job);
		server_room(s);
		conn_answer(c, CLI_OK, ref->id, "%s", "");
		return;
	}
	if (!(ref->flags & WIRE_REF_FLAG)) {
		conn_answer(c, CLI_NO, ref->id, "job %" PRIu64 " runs already (--running ends it)", ref->id);
		return;
	}
	c->id = ref->id;
	c->state = CONN_CANCELLING;
	job->cancelling = true;
	pcore_pool_end(s->pool, job->run);
}

/* The job that is applied is to end. */
static void end_own(struct conn *c, struct job *job)
{
	job->cancelling = c->dead; /* one that is asked to end still has a result for its client */
	if (job->state == JOB_RUNNING) {
		pcore_pool_end(c->server->pool, job->run);
	} else if (!job_is_over(job)) {
		table_cancel(&c->server->table, job);
		server_room(c->server);
	}
}

/* ---- asking ---- */

static void ready(struct conn *c, const struct wire_ref *ref)
{
	struct job *job = table_find(&c->server->table, ref->id);

	if (!job || job->apply || job->state == JOB_CANCELLED)
		no_such_job(c, job, ref->id);
	else
		conn_answer(c, CLI_OK, job_is_over(job), "%s", "");
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Take the ids of all jobs; for a wait, of those whose results somebody may fetch. */
static bool take_ids_of_all(struct conn *c, bool wait)
{
	const struct table *t = &c->server->table;
	size_t n = (size_t)(t->n_waiting + t->n_running + t->n_over + t->n_cancelled);

	c->ids = malloc((n + 1) * sizeof(*c->ids));
	c->n_ids = 0;
	if (!c->ids) {
		conn_drop(c);
		return false;
	}
	for (struct pcore_list *node = t->all.next; node != &t->all; node = node->next) {
		const struct job *job = container_of(node, struct job, all);

		if (!wait || (!job->apply && job->state != JOB_CANCELLED))
			c->ids[c->n_ids++] = job->id;
	}
	return true;
}

static bool take_ids_of(struct conn *c, const struct wire_ids *ids)
{
	c->ids = malloc(ids->n * sizeof(*c->ids));
	if (!c->ids) {
		conn_drop(c);
		return false;
	}
	for (size_t i = 0; i < ids->n; i++)
		c->ids[i] = wire_id(ids, i);
	qsort(c->ids, ids->n, sizeof(*c->ids), by_id);
	c->n_ids = 0;
	for (size_t i = 0; i < ids->n; i++)
		if (i == 0 || c->ids[i] != c->ids[c->n_ids - 1])
			c->ids[c->n_ids++] = c->ids[i];
	return true;
}

static void leave_ids(struct conn *c)
{
	free(c->ids);
	c->ids = NULL;
	c->n_ids = c->pos = 0;
	c->missed = 0;
	c->state = CONN_IDLE;
}

/* One that is waited for is over, or never will be. */
static void note_over(struct conn *c, uint64_t id, bool cancelled)
{
	c->n_left--;
	if (cancelled) {
		c->missed = id;
		return;
	}
	conn_check(c, wire_put_finished(&c->out, id));
	c->pos++;
}

static void end_wait_if_over(struct conn *c)
{
	if (c->n_left > 0 && !(c->any && c->pos > 0))
		return;
	if (c->missed && (!c->any || c->pos == 0))
		conn_answer(c, CLI_NO, c->missed, "job %" PRIu64 " was cancelled", c->missed);
	else if (c->any && c->pos == 0)
		conn_answer(c, CLI_NO, 0, "the pool '%s' has no job to wait for", POOL(c));
	else
		conn_answer(c, CLI_OK, 0, "%s", "");
	leave_ids(c);
}

static void start_wait(struct conn *c, const struct wire_wait *w)
{
	struct table *t = &c->server->table;

	if (!(w->ids.n > 0 ? take_ids_of(c, &w->ids) : take_ids_of_all(c, true)))
		return;
	c->any = w->flags & WIRE_WAIT_ANY;
	c->n_left = c->n_ids;
	c->pos = 0; /* how many were told */
	c->state = CONN_WAITING;
	for (size_t i = 0; i < c->n_ids; i++)
		if (!table_find(t, c->ids[i])) {
			no_such_job(c, NULL, c->ids[i]);
			leave_ids(c);
			return;
		}
	for (size_t i = 0; i < c->n_ids && !c->dead; i++) {
		struct job *job = table_find(t, c->ids[i]);

		if (job_is_over(job))
			note_over(c, job->id, job->state == JOB_CANCELLED);
	}
	end_wait_if_over(c);
}

static uint8_t wire_state(const struct server *s, const struct job *job)
{
	switch (job->state) {
	case JOB_AFTER:
	case JOB_QUEUED:
		return s->paused ? WIRE_PAUSED : WIRE_QUEUED;
	case JOB_RUNNING:
		return WIRE_RUNNING;
	case JOB_DONE:
		return WIRE_DONE;
	case JOB_FAILED:
		return WIRE_FAILED;
	case JOB_CANCELLED:
		break;
	}
	return WIRE_CANCELLED;
}

static void list_one(struct conn *c)
{
	const struct job *job = table_find(&c->server->table, c->ids[c->pos++]);
	const struct result *r = job ? job->result : NULL;
	struct wire_job w;

	if (!job)
		return;
	w = (struct wire_job){
		.id = job->id,
		.state = wire_state(c->server, job),
		.argv = { .data = job->words, .len = job->words_len, .n = job->n_words },
	};
	if (r) {
		w.attempts = r->attempts;
		w.start_ns = r->start_ns;
	}
	if (r && job_is_over(job)) {
		w.flags = (uint8_t)((r->error ? 0 : WIRE_JOB_ENDED) | (r->signalled && !r->error ? WIRE_JOB_SIGNALLED : 0) |
				    (r->timed_out ? WIRE_JOB_TIMED_OUT : 0));
		w.exit = r->exit;
		w.wall_ns = r->wall_ns;
	}
	conn_check(c, wire_put_job(&c->out, &w));
}

static void list_step(struct conn *c)
{
	if (c->pos < c->n_ids) {
		list_one(c);
		return;
	}
	leave_ids(c);
	conn_answer(c, CLI_OK, 0, "%s", "");
}

static void info(struct conn *c)
{
	const struct server *s = c->server;
	struct wire_pool w = {
		.pid = (uint32_t)getpid(),
		.jobs = s->jobs,
		.flags = (uint8_t)((s->paused ? WIRE_POOL_PAUSED : 0) | (s->closed ? WIRE_POOL_CLOSED : 0)),
		.queued = s->table.n_waiting,
		.running = s->table.n_running,
		.finished = s->table.n_over,
		.kept = s->keeping.bytes,
	};

	conn_check(c, wire_put_pool(&c->out, &w));
	conn_answer(c, CLI_OK, 0, "%s", "");
}

/* ---- the pool itself ---- */

static void resize(struct conn *c, uint32_t jobs)
{
	struct server *s = c->server;

	if (jobs < 1 || jobs > CLI_JOBS_MAX) {
		bad_request(c);
		return;
	}
	if (pcore_pool_set_jobs(s->pool, jobs) < 0) {
		conn_answer(c, CLI_FAILURE, 0, "the pool '%s' is out of memory", POOL(c));
		return;
	}
	s->jobs = jobs;
	conn_answer(c, CLI_OK, 0, "%s", "");
}

static void pause_or_resume(struct conn *c, bool paused)
{
	struct server *s = c->server;

	s->paused = paused;
	pcore_pool_hold(s->pool, paused);
	if (!paused)
		pcore_pool_kick(s->pool);
	conn_answer(c, CLI_OK, 0, "%s", "");
}

static void close_pool(struct conn *c)
{
	struct server *s = c->server;

	s->closed = true;
	server_room(s); /* whoever waits for it is told */
	conn_answer(c, CLI_OK, 0, "%s", "");
}

static void join(struct conn *c)
{
	if (c->server->closed)
		c->state = CONN_JOINING;
	else
		conn_answer(c, CLI_FAILURE, 0, "the pool '%s' is open (ppool close %s comes first)", POOL(c), POOL(c));
}

/* ---- a frame ---- */

static void greet(struct conn *c, const struct cli_frame *f)
{
	uint32_t version;

	if (f->type != WIRE_HELLO || wire_get_hello(f, &version) < 0) {
		conn_drop(c);
		return;
	}
	c->greeted = true;
	if (version == WIRE_VERSION)
		return;
	conn_answer(c, CLI_VERSION, WIRE_VERSION, "the pool '%s' speaks version %d of the protocol, not %" PRIu32, POOL(c),
		WIRE_VERSION, version);
	c->state = CONN_CLOSING;
}

static bool takes_ref(unsigned type)
{
	return type == WIRE_GET || type == WIRE_DROP || type == WIRE_READY || type == WIRE_CANCEL;
}

static bool handle_ref(struct conn *c, const struct cli_frame *f)
{
	struct wire_ref ref;

	if (wire_get_ref(f, &ref) < 0)
		return false;
	if (f->type == WIRE_GET)
		start_get(c, &ref);
	else if (f->type == WIRE_DROP)
		drop_result(c, &ref);
	else if (f->type == WIRE_READY)
		ready(c, &ref);
	else
		cancel(c, &ref);
	return true;
}

static bool handle_bare(struct conn *c, const struct cli_frame *f)
{
	if (wire_get_nothing(f) < 0)
		return false;
	switch (f->type) {
	case WIRE_LIST:
		c->pos = 0;
		if (take_ids_of_all(c, false))
			c->state = CONN_LISTING;
		return true;
	case WIRE_PAUSE:
	case WIRE_RESUME:
		pause_or_resume(c, f->type == WIRE_PAUSE);
		return true;
	case WIRE_CLOSE:
		close_pool(c);
		return true;
	case WIRE_TERMINATE:
		c->state = CONN_TERMINATING;
		server_terminate(c->server);
		return true;
	case WIRE_JOIN:
		join(c);
		return true;
	case WIRE_INFO:
		info(c);
		return true;
	case WIRE_END: /* its job has ended already */
		return true;
	default:
		return false;
	}
}

static bool handle(struct conn *c, const struct cli_frame *f)
{
	struct wire_setup s;
	struct wire_wait w;
	uint32_t jobs;

	if (takes_ref(f->type))
		return handle_ref(c, f);
	switch (f->type) {
	case WIRE_SETUP:
		if (wire_get_setup(f, &s) < 0)
			return false;
		setup(c, &s);
		return true;
	case WIRE_WAIT:
		if (wire_get_wait(f, &w) < 0)
			return false;
		start_wait(c, &w);
		return true;
	case WIRE_RESIZE:
		if (wire_get_resize(f, &jobs) < 0)
			return false;
		resize(c, jobs);
		return true;
	default:
		return handle_bare(c, f);
	}
}

/* The next frame, if it is there. */
static bool next_frame(struct conn *c)
{
	struct cli_frame f;
	size_t used;
	int r = cli_frame_next(c->in.data + c->in_pos, c->in.len - c->in_pos, &f, &used);

	if (r < 0)
		conn_drop(c);
	if (r <= 0)
		return false;
	if (is_fetched_by(c->job, c) && f.type != WIRE_DROP)
		let_go_of_result(c);
	if (!c->greeted)
		greet(c, &f);
	else if (c->state == CONN_APPLYING && f.type == WIRE_END && f.len == 0)
		end_own(c, c->job);
	else if (c->state == CONN_APPLYING)
		bad_request(c);
	else if (f.type == WIRE_SUBMIT) {
		if (!try_submit(c, &f))
			return false;
	} else if (!handle(c, &f))
		bad_request(c);
	c->in_pos += used;
	return true;
}

bool request_advance(struct conn *c)
{
	switch (c->state) {
	case CONN_IDLE:
	case CONN_QUEUEING:
	case CONN_APPLYING:
		return next_frame(c);
	case CONN_GETTING:
		return get(c);
	case CONN_SENDING:
		send_result(c);
		return true;
	case CONN_LISTING:
		list_step(c);
		return true;
	case CONN_WAITING:
	case CONN_CANCELLING:
	case CONN_JOINING:
	case CONN_TERMINATING:
	case CONN_CLOSING:
		break;
	}
	return false;
}

/* ---- events ---- */

void request_leave(struct conn *c)
{
	struct job *job = c->job;

	if (is_fetched_by(job, c)) {
		let_go_of_result(c);
	} else if (job && job_is_over(job)) {
		forget_own(c, job);
	} else if (job) {
		c->job = NULL;
		job->client = NULL;
		end_own(c, job);
	}
	pcore_list_del(&c->parked);
	server_room(c->server);
}

/* The client of an applied job is sent the rest of its result, or why there is none. */
static void tell_client(struct server *s, struct job *job)
{
	struct conn *c = job->client;

	if (!c)
		return;
	if (job->state != JOB_CANCELLED) {
		c->stream = 0;
		c->offset = 0;
		c->state = CONN_SENDING;
		s->n_fetching++;
	} else {
		job->client = NULL;
		c->job = NULL;
		if (s->terminating)
			conn_answer(c, CLI_FAILURE, job->id, "the pool '%s' was terminated", POOL(c));
		else
			no_such_job(c, job, job->id);
		c->state = CONN_CLOSING;
	}
	conn_due(c);
}

void request_job_over(struct server *s, struct job *job)
{
	bool cancelled = job->state == JOB_CANCELLED;

	if (job->apply)
		tell_client(s, job);
	PCORE_LIST_FOREACH_SAFE(node, &s->conns) {
		struct conn *c = container_of(node, struct conn, link);

		if (c->dead)
			continue;
		if (c->state == CONN_GETTING && c->id == job->id) {
			conn_due(c);
		} else if (c->state == CONN_CANCELLING && c->id == job->id) {
			c->state = CONN_IDLE;
			if (cancelled)
				conn_answer(c, CLI_OK, job->id, "%s", "");
			else
				conn_answer(c, CLI_NO, job->id, "job %" PRIu64 " has ended by itself", job->id);
			conn_due(c);
		} else if (c->state == CONN_WAITING && bsearch(&job->id, c->ids, c->n_ids, sizeof(*c->ids), by_id)) {
			note_over(c, job->id, cancelled);
			end_wait_if_over(c);
			conn_due(c);
		}
	}
}

void request_job_output(struct conn *c, int stream, const char *data, size_t len)
{
	conn_check(c, wire_put_output(&c->out, (uint8_t)stream, data, len));
	if (!c->dead)
		(void)conn_flush(c);
	if (!c->dead && c->out.len > 0)
		conn_watch(c);
}

void request_answer_joiners(struct server *s, bool failed)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->conns) {
		struct conn *c = container_of(node, struct conn, link);

		if (c->dead || c->state != CONN_JOINING)
			continue;
		if (failed)
			conn_answer(c, CLI_NO, 0, "some jobs of the pool '%s' failed and nobody has fetched their results", POOL(c));
		else
			conn_answer(c, CLI_OK, 0, "%s", "");
		c->state = CONN_CLOSING;
		conn_due(c);
	}
}

void request_end_all(struct server *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->conns) {
		struct conn *c = container_of(node, struct conn, link);

		if (c->dead || c->state == CONN_CLOSING)
			continue;
		if (c->state == CONN_TERMINATING)
			conn_answer(c, CLI_OK, 0, "%s", "");
		else if (c->state != CONN_IDLE)
			conn_answer(c, CLI_FAILURE, 0, "the pool '%s' %s", POOL(c), s->terminating ? "was terminated" : "has ended");
		c->state = CONN_CLOSING;
		conn_due(c);
	}
}
