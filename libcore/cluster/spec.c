/* SPDX-License-Identifier: MIT */
/*
 * spec.c - jobs as messages, and back.
 */
#include "libcore/cluster/spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CPUS_BYTES = CPU_SETSIZE / 8 };

/* ---- to a template ---- */

int pcore_argv_put(struct pcore_buf *b, char *const *words)
{
	int r = 0;

	for (size_t i = 0; words[i] && r == 0; i++) {
		struct pcore_wire_piece text = { .kind = PCORE_WIRE_TEXT, .n = (uint32_t)strlen(words[i]), .text = words[i] };
		struct pcore_wire_piece end = { .kind = PCORE_WIRE_END };

		r = text.n > 0 ? pcore_wire_add_piece(b, &text) : 0;
		if (r == 0)
			r = pcore_wire_add_piece(b, &end);
	}
	return r;
}

int pcore_argv_put_args(struct pcore_buf *b)
{
	struct pcore_wire_piece all = { .kind = PCORE_WIRE_SPREAD }, end = { .kind = PCORE_WIRE_END };
	int r = pcore_wire_add_piece(b, &all);

	return r < 0 ? r : pcore_wire_add_piece(b, &end);
}

static void have(struct pcore_wire_template *t, unsigned tag, bool is_there)
{
	if (is_there)
		t->has |= PCORE_WIRE_HAS(tag);
}

/* What fits into numbers and texts. */
static void say_proc(struct pcore_wire_template *t, const struct pcore_proc_spec *p)
{
	assert(p->n_fds == 0 && !p->set_pgroup && !p->set_ctty && !p->pdeathsig);

	have(t, PCORE_WIRE_T_FILE, p->file != NULL);
	t->file = p->file;
	have(t, PCORE_WIRE_T_DIR, p->chdir != NULL);
	t->dir = p->chdir;
	have(t, PCORE_WIRE_T_UMASK, p->set_umask);
	t->umask = p->umask;
	have(t, PCORE_WIRE_T_NICE, p->nice != 0);
	t->nice = p->nice;
	have(t, PCORE_WIRE_T_SCHED_POLICY, p->set_sched);
	have(t, PCORE_WIRE_T_SCHED_PRIORITY, p->set_sched);
	t->sched_policy = (unsigned)p->sched_policy;
	t->sched_priority = (unsigned)p->sched_priority;
	have(t, PCORE_WIRE_T_IOPRIO, p->set_ionice);
	t->ioprio = (unsigned)p->ioprio;
	have(t, PCORE_WIRE_T_OOM_ADJ, p->set_oom_adj);
	t->oom_adj = p->oom_adj;
	have(t, PCORE_WIRE_T_UID, p->set_uid);
	t->uid = p->uid;
	have(t, PCORE_WIRE_T_GID, p->set_gid);
	t->gid = p->gid;
	t->flags |= p->new_session ? PCORE_WIRE_NEW_SESSION : 0;
}

/* And what becomes bytes, in buffers of the caller's. */
static int say_arrays(struct pcore_wire_template *t, const struct pcore_proc_spec *p, struct pcore_buf *limits, struct pcore_buf *groups,
	uint8_t cpus[static CPUS_BYTES])
{
	int r = 0;

	for (size_t i = 0; i < p->n_limits && r == 0; i++) {
		struct pcore_wire_limit l = { p->limits[i].resource, p->limits[i].limit.rlim_cur, p->limits[i].limit.rlim_max };

		r = pcore_wire_add_limit(limits, &l);
	}
	for (size_t i = 0; i < p->n_groups && r == 0; i++)
		r = pcore_wire_add_u32(groups, p->groups[i]);
	for (size_t i = 0; p->affinity && i < CPU_SETSIZE; i++)
		cpus[i / 8] |= (uint8_t)(CPU_ISSET(i, p->affinity) ? 1 << i % 8 : 0);
	have(t, PCORE_WIRE_T_LIMITS, p->n_limits > 0);
	t->limits = (struct pcore_wire_bytes){ limits->data, limits->len };
	have(t, PCORE_WIRE_T_GROUPS, p->set_groups);
	t->groups = (struct pcore_wire_bytes){ groups->data, groups->len };
	have(t, PCORE_WIRE_T_AFFINITY, p->affinity != NULL);
	t->affinity = (struct pcore_wire_bytes){ (const char *)cpus, CPUS_BYTES };
	return r;
}

static void say_times(struct pcore_wire_template *t, const struct pcore_proc_times *times)
{
	have(t, PCORE_WIRE_T_TIMEOUT, true);
	t->timeout = times->timeout;
	have(t, PCORE_WIRE_T_SIGNAL, true);
	t->signal = (unsigned)times->signal;
	have(t, PCORE_WIRE_T_KILL_AFTER, true);
	t->kill_after = times->kill_after;
	have(t, PCORE_WIRE_T_LINGER, true);
	t->linger = times->linger;
	t->flags |= times->leave ? PCORE_WIRE_LEAVE : 0;
}

/* paths has room for a NULL behind them. */
static struct pcore_wire_words say_paths(const char **paths, const char *const *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		paths[i] = from[i];
	paths[n] = NULL;
	return (struct pcore_wire_words){ .list = (char *const *)paths };
}

static void say_sandbox(struct pcore_wire_template *t, const struct pcore_sandbox_spec *s, const char **ro, const char **rw)
{
	if (s->size == 0)
		return;
	assert(s->n_ro <= PCORE_SANDBOX_PATHS_MAX && s->n_rw <= PCORE_SANDBOX_PATHS_MAX);

	have(t, PCORE_WIRE_T_SANDBOX, true);
	t->sandbox = s->level;
	t->sandbox_flags = (s->allow_net ? PCORE_WIRE_ALLOW_NET : 0) | (s->allow_io_uring ? PCORE_WIRE_ALLOW_IO_URING : 0) |
			   (s->private_tmp ? PCORE_WIRE_PRIVATE_TMP : 0) | (s->no_new_privs ? PCORE_WIRE_NO_NEW_PRIVS : 0);
	have(t, PCORE_WIRE_T_SANDBOX_FLAGS, t->sandbox_flags != 0);
	have(t, PCORE_WIRE_T_RO, s->n_ro > 0);
	t->ro = say_paths(ro, s->ro, s->n_ro);
	have(t, PCORE_WIRE_T_RW, s->n_rw > 0);
	t->rw = say_paths(rw, s->rw, s->n_rw);
	have(t, PCORE_WIRE_T_DROP_CAPS, s->drop_caps != 0);
	t->drop_caps = s->drop_caps;
	have(t, PCORE_WIRE_T_KEEP_CAPS, s->keep_caps != 0);
	t->keep_caps = s->keep_caps;
}

static void say_bounds(struct pcore_wire_template *t, const struct pcore_jobspec *s)
{
	have(t, PCORE_WIRE_T_MEMORY_MAX, s->memory_max > 0);
	t->memory_max = s->memory_max;
	have(t, PCORE_WIRE_T_TASKS_MAX, s->tasks_max > 0);
	t->tasks_max = s->tasks_max;
	have(t, PCORE_WIRE_T_CPU_MAX, s->cpu_max > 0);
	t->cpu_max = s->cpu_max;
	have(t, PCORE_WIRE_T_IO_WEIGHT, s->io_weight > 0);
	t->io_weight = s->io_weight;
	have(t, PCORE_WIRE_T_MAX_OUTPUT, s->max_output != UINT64_MAX);
	t->max_output = s->max_output;
	have(t, PCORE_WIRE_T_PIPE_SIZE, s->pipe_size > 0);
	t->pipe_size = s->pipe_size;
	have(t, PCORE_WIRE_T_CPUS, s->cpus > 0);
	t->cpus = s->cpus;
	have(t, PCORE_WIRE_T_MEMORY, s->memory > 0);
	t->memory = s->memory;
	have(t, PCORE_WIRE_T_RESOURCES, s->resources.len > 0);
	t->resources = s->resources;
	have(t, PCORE_WIRE_T_LABELS, s->labels.list || s->labels.len > 0);
	t->node_labels = s->labels;
	have(t, PCORE_WIRE_T_NODE, s->node);
	t->node = s->node;
	have(t, PCORE_WIRE_T_EXCLUSIVE, s->exclusive);
	t->exclusive = s->exclusive;
	t->flags |= (s->want_io ? PCORE_WIRE_WANT_IO : 0) | (s->best_effort ? PCORE_WIRE_BEST_EFFORT : 0);
}

static void say_worker(struct pcore_wire_template *t, const struct pcore_worker_spec *w)
{
	if (!w)
		return;
	have(t, PCORE_WIRE_T_FORM, true);
	t->form = w->form.kind;
	have(t, PCORE_WIRE_T_LINES, w->form.kind == PCORE_ANSWER_LINES);
	t->lines = w->form.n_lines;
	have(t, PCORE_WIRE_T_UNTIL, w->form.kind == PCORE_ANSWER_UNTIL);
	t->until = (struct pcore_wire_bytes){ w->form.text, w->form.len };
	have(t, PCORE_WIRE_T_INIT, w->init != NULL);
	t->init = (struct pcore_wire_bytes){ w->init, w->init_len };
	have(t, PCORE_WIRE_T_WINDOW, true);
	t->window = w->window;
	have(t, PCORE_WIRE_T_ITEMS_MAX, w->items_max > 0);
	t->items_max = w->items_max;
	have(t, PCORE_WIRE_T_IDLE_TIMEOUT, true);
	t->idle_timeout = w->idle_timeout;
	have(t, PCORE_WIRE_T_ANSWER_TIMEOUT, true);
	t->answer_timeout = w->answer_timeout;
	have(t, PCORE_WIRE_T_SLOW_AFTER, true);
	t->slow_after = w->slow_after;
	t->flags |= (w->form.keep_length ? PCORE_WIRE_KEEP_LENGTH : 0) | (w->pty ? PCORE_WIRE_PTY : 0);
}

int pcore_jobspec_put(struct pcore_buf *b, const struct pcore_jobspec *s, uint32_t env, const struct pcore_wire_argv *argv)
{
	_cleanup_(pcore_buf_done) struct pcore_buf limits = PCORE_BUF_INIT(0), groups = PCORE_BUF_INIT(0);
	const char *ro[PCORE_SANDBOX_PATHS_MAX + 1], *rw[PCORE_SANDBOX_PATHS_MAX + 1];
	struct pcore_wire_template t = { .env = env, .argv = *argv };
	uint8_t cpus[CPUS_BYTES] = { 0 };
	int r;

	assert(s->proc.size == sizeof(s->proc));

	say_proc(&t, &s->proc);
	r = say_arrays(&t, &s->proc, &limits, &groups, cpus);
	if (r < 0)
		return r;
	say_times(&t, &s->times);
	say_sandbox(&t, &s->sandbox, ro, rw);
	say_bounds(&t, s);
	say_worker(&t, s->worker);
	have(&t, PCORE_WIRE_T_FLAGS, t.flags != 0);
	return pcore_wire_put_template(b, &t);
}

/* ---- from a template ---- */

static bool has(const struct pcore_wire_template *m, unsigned tag)
{
	return m->has & PCORE_WIRE_HAS(tag);
}

static int read_arrays(struct pcore_template *t, const struct pcore_wire_template *m)
{
	struct pcore_proc_spec *p = &t->spec.proc;

	p->limits = t->limits;
	p->n_limits = pcore_wire_limits(&m->limits);
	for (size_t i = 0; i < p->n_limits; i++) {
		struct pcore_wire_limit l = pcore_wire_limit(&m->limits, i);

		t->limits[i] = (struct pcore_proc_limit){ l.resource, { .rlim_cur = l.soft, .rlim_max = l.hard } };
	}
	for (size_t i = 0; i < m->affinity.len * 8; i++)
		if (m->affinity.data[i / 8] & 1 << i % 8)
			CPU_SET(i, &t->affinity);
	p->affinity = has(m, PCORE_WIRE_T_AFFINITY) ? &t->affinity : NULL;
	p->set_groups = has(m, PCORE_WIRE_T_GROUPS);
	p->n_groups = pcore_wire_u32s(&m->groups);
	t->groups = p->n_groups > 0 ? calloc(p->n_groups, sizeof(*t->groups)) : NULL;
	if (p->n_groups > 0 && !t->groups)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_groups; i++)
		t->groups[i] = pcore_wire_u32(&m->groups, i);
	p->groups = t->groups;
	return 0;
}

static void read_proc(struct pcore_proc_spec *p, const struct pcore_wire_template *m)
{
	p->size = sizeof(*p);
	p->file = m->file;
	p->chdir = m->dir;
	p->set_umask = has(m, PCORE_WIRE_T_UMASK);
	p->umask = (mode_t)m->umask;
	p->nice = (int)m->nice;
	p->set_sched = has(m, PCORE_WIRE_T_SCHED_POLICY);
	p->sched_policy = (int)m->sched_policy;
	p->sched_priority = (int)m->sched_priority;
	p->set_ionice = has(m, PCORE_WIRE_T_IOPRIO);
	p->ioprio = (int)m->ioprio;
	p->set_oom_adj = has(m, PCORE_WIRE_T_OOM_ADJ);
	p->oom_adj = (int)m->oom_adj;
	p->set_uid = has(m, PCORE_WIRE_T_UID);
	p->uid = (uid_t)m->uid;
	p->set_gid = has(m, PCORE_WIRE_T_GID);
	p->gid = (gid_t)m->gid;
	p->new_session = m->flags & PCORE_WIRE_NEW_SESSION;
}

static struct pcore_proc_times read_times(const struct pcore_wire_template *m)
{
	return (struct pcore_proc_times){
		.timeout = has(m, PCORE_WIRE_T_TIMEOUT) ? m->timeout : INT64_MAX,
		.signal = has(m, PCORE_WIRE_T_SIGNAL) ? (int)m->signal : SIGTERM,
		.kill_after = has(m, PCORE_WIRE_T_KILL_AFTER) ? m->kill_after : 2 * NS_PER_S,
		.linger = has(m, PCORE_WIRE_T_LINGER) ? m->linger : 100 * NS_PER_MS,
		.leave = m->flags & PCORE_WIRE_LEAVE,
	};
}

static size_t read_paths(const char **paths, struct pcore_wire_words w)
{
	size_t n = 0;

	for (; w.n > 0; n++)
		paths[n] = pcore_wire_word(&w);
	return n;
}

static void read_sandbox(struct pcore_template *t, const struct pcore_wire_template *m)
{
	struct pcore_sandbox_spec *s = &t->spec.sandbox;

	if (!has(m, PCORE_WIRE_T_SANDBOX))
		return;
	*s = (struct pcore_sandbox_spec){
		.size = sizeof(*s),
		.level = (enum pcore_sandbox_level)m->sandbox,
		.allow_net = m->sandbox_flags & PCORE_WIRE_ALLOW_NET,
		.allow_io_uring = m->sandbox_flags & PCORE_WIRE_ALLOW_IO_URING,
		.private_tmp = m->sandbox_flags & PCORE_WIRE_PRIVATE_TMP,
		.no_new_privs = m->sandbox_flags & PCORE_WIRE_NO_NEW_PRIVS,
		.ro = t->ro,
		.rw = t->rw,
		.n_ro = read_paths(t->ro, m->ro),
		.n_rw = read_paths(t->rw, m->rw),
		.drop_caps = m->drop_caps,
		.keep_caps = m->keep_caps,
	};
}

static void read_worker(struct pcore_template *t, const struct pcore_wire_template *m)
{
	if (!has(m, PCORE_WIRE_T_FORM))
		return;
	t->worker = (struct pcore_worker_spec){
		.window = (unsigned)m->window,
		.form = {
			.kind = (enum pcore_answer_kind)m->form,
			.n_lines = m->lines,
			.text = m->until.data,
			.len = m->until.len,
			.keep_length = m->flags & PCORE_WIRE_KEEP_LENGTH,
		},
		.init = m->init.data,
		.init_len = m->init.len,
		.items_max = m->items_max,
		.idle_timeout = has(m, PCORE_WIRE_T_IDLE_TIMEOUT) ? m->idle_timeout : INT64_MAX,
		.answer_timeout = has(m, PCORE_WIRE_T_ANSWER_TIMEOUT) ? m->answer_timeout : INT64_MAX,
		.slow_after = has(m, PCORE_WIRE_T_SLOW_AFTER) ? m->slow_after : INT64_MAX,
		.pty = m->flags & PCORE_WIRE_PTY,
	};
	t->spec.worker = &t->worker;
}

/* A copy of the body, for what was read points into it. */
static int copy_body(const struct pcore_wire_frame *f, struct pcore_wire_frame *ret, char **ret_body)
{
	char *body = malloc(f->len > 0 ? f->len : 1);

	if (!body)
		return -ENOMEM;
	if (f->len > 0)
		memcpy(body, f->body, f->len);
	*ret = *f;
	ret->body = *ret_body = body;
	return 0;
}

int pcore_template_read(struct pcore_template *ret, const struct pcore_wire_frame *f)
{
	struct pcore_wire_template m;
	struct pcore_wire_frame copy;
	int r;

	*ret = (struct pcore_template){ .body = NULL };
	r = copy_body(f, &copy, &ret->body);
	if (r == 0)
		r = pcore_wire_get_template(&copy, &m);
	if (r == 0)
		r = read_arrays(ret, &m);
	if (r < 0) {
		pcore_template_done(ret);
		return r;
	}

	read_proc(&ret->spec.proc, &m);
	read_sandbox(ret, &m);
	read_worker(ret, &m);
	ret->argv = m.argv;
	ret->env = (uint32_t)m.env;
	ret->spec.times = read_times(&m);
	ret->spec.want_io = m.flags & PCORE_WIRE_WANT_IO;
	ret->spec.best_effort = m.flags & PCORE_WIRE_BEST_EFFORT;
	ret->spec.memory_max = m.memory_max;
	ret->spec.tasks_max = m.tasks_max;
	ret->spec.cpu_max = m.cpu_max;
	ret->spec.io_weight = m.io_weight;
	ret->spec.max_output = has(&m, PCORE_WIRE_T_MAX_OUTPUT) ? m.max_output : UINT64_MAX;
	ret->spec.pipe_size = (unsigned)m.pipe_size;
	ret->spec.cpus = m.cpus;
	ret->spec.memory = m.memory;
	ret->spec.resources = m.resources;
	ret->spec.labels = m.node_labels;
	ret->spec.node = m.node;
	ret->spec.exclusive = m.exclusive;
	return 0;
}

void pcore_template_done(struct pcore_template *t)
{
	free(t->groups);
	free(t->body);
	*t = (struct pcore_template){ .body = NULL };
}

/* ---- what a job of it needs ---- */

static size_t take_needs(const struct pcore_wire_template *t, struct pcore_sched_need *ret)
{
	struct pcore_wire_list list = t->resources;
	struct pcore_wire_resource r;
	size_t n = 0;

	while (n < PCORE_SCHED_PARTS_MAX && pcore_wire_next_resource(&list, &r))
		ret[n++] = (struct pcore_sched_need){ r.name, (uint32_t)(r.count < UINT32_MAX ? r.count : UINT32_MAX) };
	return n;
}

/* Words "K=V" and "K!=V", taken apart in text. */
static int take_labels(const struct pcore_wire_template *t, struct pcore_needs *ret)
{
	struct pcore_wire_words words = t->node_labels;
	char *text = ret->text;
	const char *word;
	size_t n = 0;

	while (n < PCORE_SCHED_PARTS_MAX && (word = pcore_wire_word(&words))) {
		size_t len = strlen(word) + 1;
		char *equals;

		memcpy(text, word, len);
		equals = strchr(text, '=');
		if (!equals || equals == text)
			return -EPROTO;
		ret->labels[n] = (struct pcore_sched_label){ text, equals + 1, equals[-1] == '!' };
		equals[ret->labels[n].differs ? -1 : 0] = '\0';
		text += len;
		n++;
	}
	ret->request.n_labels = n;
	return 0;
}

int pcore_needs_read(struct pcore_needs *ret, const struct pcore_wire_template *t)
{
	ret->text = malloc(t->node_labels.len + 1);
	if (!ret->text)
		return -ENOMEM;
	ret->request = (struct pcore_sched_request){
		.cpus = (uint32_t)(t->cpus < UINT32_MAX ? t->cpus : UINT32_MAX),
		.memory = t->memory,
		.needs = ret->needs,
		.n_needs = take_needs(t, ret->needs),
		.labels = ret->labels,
		.node = has(t, PCORE_WIRE_T_NODE) ? t->node : NULL,
	};
	return take_labels(t, ret);
}

void pcore_needs_done(struct pcore_needs *n)
{
	free(n->text);
	n->text = NULL;
}

/* ---- environments ---- */

/* Is it the variable of "K=V" or "K"? */
static bool same_name(const char *var, const char *word)
{
	size_t len = strcspn(word, "=");

	return strncmp(var, word, len) == 0 && var[len] == '=';
}

static bool names(struct pcore_wire_words words, const char *var)
{
	const char *word;

	while ((word = pcore_wire_word(&words)))
		if (same_name(var, word))
			return true;
	return false;
}

static int fill_env(struct pcore_jobenv *e, const struct pcore_wire_env *m, char *const *ours)
{
	struct pcore_wire_words vars = m->vars;
	size_t n = 0;

	while (m->node_base && ours[n])
		n++;
	e->vars = calloc(n + vars.n + 1, sizeof(*e->vars));
	if (!e->vars)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++)
		if (pcore_sandbox_keeps_var(ours[i]) && !names(m->unset, ours[i]) && !names(m->vars, ours[i]))
			e->vars[e->n++] = ours[i];
	while (vars.n > 0)
		e->vars[e->n++] = (char *)pcore_wire_word(&vars);
	return 0;
}

int pcore_jobenv_read(struct pcore_jobenv *ret, const struct pcore_wire_frame *f, char *const *ours)
{
	struct pcore_wire_frame copy;
	struct pcore_wire_env m;
	int r;

	*ret = (struct pcore_jobenv){ .n = 0 };
	r = copy_body(f, &copy, &ret->body);
	if (r == 0)
		r = pcore_wire_get_env(&copy, &m);
	if (r == 0)
		r = fill_env(ret, &m, ours);
	if (r < 0)
		pcore_jobenv_done(ret);
	return r;
}

void pcore_jobenv_done(struct pcore_jobenv *e)
{
	free(e->vars);
	free(e->body);
	*e = (struct pcore_jobenv){ .n = 0 };
}

/* ---- a job's words ---- */

/* The block under construction. With argv NULL nothing is written, only counted. */
struct output {
	char **argv, *bytes;
	size_t n_words, n_bytes;
};

static void put(struct output *out, const void *data, size_t len)
{
	if (out->argv)
		memcpy(out->bytes + out->n_bytes, data, len);
	out->n_bytes += len;
}

static void put_word(struct output *out, char *word)
{
	if (out->argv)
		out->argv[out->n_words] = word;
	out->n_words++;
}

static void put_number(struct output *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	put(out, digits, (size_t)len);
}

/* One word's pieces up to its end. */
static int put_pieces(struct output *out, struct pcore_wire_argv *argv, char *const *args, size_t n_args, const struct pcore_wire_assign *a,
	unsigned slot)
{
	char *word = out->argv ? out->bytes + out->n_bytes : NULL;
	struct pcore_wire_piece p;

	while (pcore_wire_next_piece(argv, &p) && p.kind != PCORE_WIRE_END) {
		if ((p.kind == PCORE_WIRE_ARG && p.n >= n_args) || (p.kind == PCORE_WIRE_SPREAD && p.n > n_args))
			return -EPROTO;
		if (p.kind == PCORE_WIRE_SPREAD) {
			for (size_t i = p.n; i < n_args; i++)
				put_word(out, args[i]);
			(void)pcore_wire_next_piece(argv, &p);
			return 0;
		}
		if (p.kind == PCORE_WIRE_TEXT)
			put(out, p.text, p.n);
		else if (p.kind == PCORE_WIRE_ARG)
			put(out, args[p.n], strlen(args[p.n]));
		else
			put_number(out, p.kind == PCORE_WIRE_SEQ ? a->seq : slot);
	}
	put(out, "", 1);
	put_word(out, word);
	return 0;
}

static int put_argv(struct output *out, const struct pcore_template *t, char *const *args, const struct pcore_wire_assign *a, unsigned slot)
{
	struct pcore_wire_argv argv = t->argv;
	int r = 0;

	while (argv.len > 0 && r == 0)
		r = put_pieces(out, &argv, args, a->args.n, a, slot);
	return r == 0 && out->n_words == 0 ? -EPROTO : r;
}

static void put_var(struct output *out, const char *name, const char *text, uint64_t n)
{
	char *var = out->argv ? out->bytes + out->n_bytes : NULL;

	put(out, name, strlen(name));
	if (text)
		put(out, text, strlen(text));
	else
		put_number(out, n);
	put(out, "", 1);
	put_word(out, var);
}

/* Ours, which no other of the name precedes; and the place's. */
static void put_envp(struct output *out, const struct pcore_jobenv *e, const struct pcore_wire_assign *a, const struct pcore_job_place *where)
{
	static const char *const names[] = { "PCORE_SEQ=", "PCORE_SLOT=", "PCORE_ATTEMPT=", "PCORE_JOB=", "PCORE_NODE=" };

	for (size_t i = 0; i < e->n; i++) {
		bool is_ours = false;

		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			is_ours |= strncmp(e->vars[i], names[k], strlen(names[k])) == 0;
		if (!is_ours)
			put_word(out, e->vars[i]);
	}
	if (a->seq)
		put_var(out, names[0], NULL, a->seq);
	put_var(out, names[1], NULL, where->slot);
	if (a->tries) { /* else it is a worker */
		put_var(out, names[2], NULL, a->tries);
		put_var(out, names[3], NULL, a->job);
	}
	put_var(out, names[4], where->node, 0);
	for (size_t i = 0; where->vars && where->vars[i]; i++)
		put_word(out, where->vars[i]);
}

int pcore_job_words(struct pcore_job_words *ret, const struct pcore_template *t, const struct pcore_jobenv *e,
	const struct pcore_wire_assign *a, const struct pcore_job_place *where)
{
	_cleanup_(freep) char **args = calloc(a->args.n + 1, sizeof(*args));
	struct output argv = { .n_words = 0 }, envp = { .n_words = 0 };
	struct pcore_wire_words words = a->args;
	char **block;
	int r;

	if (!args)
		return -ENOMEM;
	for (size_t i = 0; i < a->args.n; i++)
		args[i] = (char *)pcore_wire_word(&words);
	r = put_argv(&argv, t, args, a, where->slot);
	if (r < 0)
		return r;
	put_envp(&envp, e, a, where);
	block = malloc((argv.n_words + envp.n_words + 2) * sizeof(*block) + argv.n_bytes + envp.n_bytes);
	if (!block)
		return -ENOMEM;

	envp.argv = block + argv.n_words + 1;
	envp.bytes = (char *)(envp.argv + envp.n_words + 1) + argv.n_bytes;
	argv.argv = block;
	argv.bytes = (char *)(envp.argv + envp.n_words + 1);
	argv.n_words = argv.n_bytes = envp.n_words = envp.n_bytes = 0;
	(void)put_argv(&argv, t, args, a, where->slot);
	put_envp(&envp, e, a, where);
	argv.argv[argv.n_words] = NULL;
	envp.argv[envp.n_words] = NULL;
	*ret = (struct pcore_job_words){ argv.argv, envp.argv };
	return 0;
}

/* ---- results ---- */

static int64_t of_timeval(struct timeval tv)
{
	return tv.tv_sec * NS_PER_S + tv.tv_usec * NS_PER_US;
}

static struct timeval to_timeval(int64_t ns)
{
	return (struct timeval){ .tv_sec = ns / NS_PER_S, .tv_usec = ns % NS_PER_S / NS_PER_US };
}

void pcore_done_of_result(struct pcore_wire_done *d, const struct pcore_job_result *r)
{
	const struct rusage *u = &r->exit.usage;

	*d = (struct pcore_wire_done){
		.pid = (uint32_t)r->pid,
		.survivors = r->survivors,
		.start_ns = r->start_ns,
		.wall_ns = r->wall_ns,
		.code = (uint8_t)r->exit.code,
		.status = (uint8_t)r->exit.status,
		.flags = (r->timed_out ? PCORE_WIRE_TIMED_OUT : 0U) | (r->cancelled ? PCORE_WIRE_CANCELLED : 0U) |
			 (r->lost ? PCORE_WIRE_LOST : 0U),
		.user_ns = of_timeval(u->ru_utime),
		.system_ns = of_timeval(u->ru_stime),
		.maxrss_kib = (uint64_t)u->ru_maxrss,
		.minor_faults = (uint64_t)u->ru_minflt,
		.major_faults = (uint64_t)u->ru_majflt,
		.in_blocks = (uint64_t)u->ru_inblock,
		.out_blocks = (uint64_t)u->ru_oublock,
		.vol_switches = (uint64_t)u->ru_nvcsw,
		.invol_switches = (uint64_t)u->ru_nivcsw,
		.error = (uint32_t)-r->error.code,
		.step = pcore_step_name(r->error.step),
		.subject = r->error.subject,
	};
}

void pcore_result_of_done(struct pcore_job_result *r, const struct pcore_wire_done *d)
{
	struct rusage *u = &r->exit.usage;

	*r = (struct pcore_job_result){
		.exit = { .code = d->code, .status = d->status },
		.timed_out = d->flags & PCORE_WIRE_TIMED_OUT,
		.cancelled = d->flags & PCORE_WIRE_CANCELLED,
		.lost = d->flags & PCORE_WIRE_LOST,
		.start_ns = d->start_ns,
		.wall_ns = d->wall_ns,
		.pid = (pid_t)d->pid,
		.survivors = d->survivors,
	};
	if (d->error)
		(void)pcore_err_set(&r->error, -(int)d->error, pcore_step_by_name(d->step), d->subject);
	u->ru_utime = to_timeval(d->user_ns);
	u->ru_stime = to_timeval(d->system_ns);
	u->ru_maxrss = (long)d->maxrss_kib;
	u->ru_minflt = (long)d->minor_faults;
	u->ru_majflt = (long)d->major_faults;
	u->ru_inblock = (long)d->in_blocks;
	u->ru_oublock = (long)d->out_blocks;
	u->ru_nvcsw = (long)d->vol_switches;
	u->ru_nivcsw = (long)d->invol_switches;
}
