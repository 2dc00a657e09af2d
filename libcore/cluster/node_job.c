/* SPDX-License-Identifier: MIT */
/*
 * node_job.c - how a job is run: what spec.h makes of the wire, and what the node adds to it.
 */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/cluster/node_private.h"

/* ---- what jobs have in common ---- */

int node_env_new(struct node_env **ret, struct node_session *s, const struct pcore_wire_frame *f)
{
	struct node_env *e;
	int r;

	if (s->envs.len >= NODE_ENVS_MAX)
		return -ENOSPC;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;

	e->id = f->id;
	r = pcore_jobenv_read(&e->env, f, s->node->spec.env);
	if (r < 0) {
		free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void node_env_free(struct node_env *e)
{
	pcore_jobenv_done(&e->env);
	free(e);
}

/* The stricter of what the job asks for and what the node wants of every job. */
static int make_sandbox(struct node_template *t, const struct pcore_node *n, struct pcore_err *err)
{
	struct pcore_sandbox_spec spec = t->t.spec.sandbox;

	spec.size = sizeof(spec);
	if (spec.level < n->spec.sandbox)
		spec.level = n->spec.sandbox;
	if (spec.level == PCORE_SANDBOX_STRICT && n->spec.sandbox != PCORE_SANDBOX_STRICT) /* the node's trees are no namespaces */
		return pcore_err_set(err, -EOPNOTSUPP, PCORE_STEP_NAMESPACE, "");
	if (spec.level == PCORE_SANDBOX_STRICT && n->spec.workdir) { /* where their directories are */
		if (spec.n_rw == PCORE_SANDBOX_PATHS_MAX)
			return pcore_err_set(err, -E2BIG, PCORE_STEP_NAMESPACE, "");
		t->t.rw[spec.n_rw++] = n->spec.workdir;
		spec.rw = t->t.rw;
	}
	if (spec.level == PCORE_SANDBOX_NONE && !spec.private_tmp && !spec.no_new_privs && !spec.drop_caps)
		return 0;
	return pcore_sandbox_compile(&spec, &t->sandbox, err);
}

int node_template_new(struct node_template **ret, struct node_session *s, const struct pcore_wire_frame *f, struct pcore_err *err)
{
	struct node_template *t;
	int r;

	if (s->templates.len >= NODE_TEMPLATES_MAX)
		return -ENOSPC;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;

	pcore_list_init(&t->workers);
	t->id = f->id;
	r = pcore_template_read(&t->t, f);
	if (r == 0)
		r = make_sandbox(t, s->node, err);
	if (r < 0) {
		node_template_free(t);
		return r;
	}
	t->t.spec.proc.sandbox = t->sandbox;
	t->t.spec.proc.keep_ignored = 0; /* what the node ignores is no affair of its jobs */
	*ret = t;
	return 0;
}

void node_template_free(struct node_template *t)
{
	pcore_sandbox_free(t->sandbox);
	pcore_template_done(&t->t);
	free(t);
}

/* ---- its resources, and its directory for temporary files ---- */

static const struct pcore_node_resource *find_resource(const struct pcore_node *n, const char *name)
{
	for (size_t i = 0; i < n->spec.n_resources; i++)
		if (strcmp(n->spec.resources[i].name, name) == 0)
			return &n->spec.resources[i];
	return NULL;
}

/* NAME=a,b,c: which ones the job has. */
static int put_ids(struct pcore_buf *b, const struct pcore_node_resource *r, const struct pcore_wire_bytes *ids, size_t first, size_t count)
{
	int error = 0;

	for (size_t i = first; error == 0 && i < first + count; i++) {
		uint16_t id = pcore_wire_u16(ids, i);

		if (id >= r->n)
			return -EPROTO;
		error = pcore_buf_addf(b, "%s%s", i > first ? "," : "", r->ids[id]);
	}
	return error < 0 ? error : pcore_buf_addc(b, '\0');
}

static int put_name(struct pcore_buf *b, const char *name)
{
	int r = pcore_buf_adds(b, "PCORE_RESOURCE_");

	for (; r == 0 && *name; name++)
		r = pcore_buf_addc(b, isalnum((unsigned char)*name) ? (char)toupper((unsigned char)*name) : '_');
	return r < 0 ? r : pcore_buf_addc(b, '=');
}

/* The variables that tell a job which of the node's resources it has, one behind the other in n->vars. */
static int put_resources(struct node_job *j, size_t *ret_n)
{
	struct pcore_node *n = j->session->node;
	struct pcore_wire_list needs = j->template->t.spec.resources;
	struct pcore_wire_resource need;
	size_t at = 0;
	int error = 0;

	while (error == 0 && pcore_wire_next_resource(&needs, &need)) {
		const struct pcore_node_resource *r = find_resource(n, need.name);

		if (!r || !r->ids)
			continue;
		if (need.count > pcore_wire_u16s(&j->ids) - at)
			return -EPROTO;
		error = put_name(&n->vars, need.name);
		if (error == 0)
			error = put_ids(&n->vars, r, &j->ids, at, need.count);
		++*ret_n;
		if (error == 0 && strcmp(need.name, "gpu") == 0) {
			error = pcore_buf_adds(&n->vars, "CUDA_VISIBLE_DEVICES=");
			if (error == 0)
				error = put_ids(&n->vars, r, &j->ids, at, need.count);
			++*ret_n;
		}
		at += need.count;
	}
	return error;
}

static int list_resources(struct node_job *j)
{
	struct pcore_node *n = j->session->node;
	size_t n_vars = 0;
	char **list, *var;
	int r;

	pcore_buf_clear(&n->vars);
	r = put_resources(j, &n_vars);
	if (r == 0 && j->dir[0]) {
		n_vars++;
		r = pcore_buf_addf(&n->vars, "TMPDIR=%s/%s", n->spec.workdir, j->dir);
	}
	if (r == 0 && j->dir[0])
		r = pcore_buf_addc(&n->vars, '\0');
	if (r < 0)
		return r;
	list = realloc(n->vars_list, (n_vars + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	n->vars_list = list;
	var = n->vars.data;
	for (size_t i = 0; i < n_vars; i++) {
		list[i] = var;
		var += strlen(var) + 1;
	}
	list[n_vars] = NULL;
	return 0;
}

/* ---- its directory ---- */

int node_dir_make(struct node_job *j)
{
	struct pcore_node *n = j->session->node;

	if (n->workdir_fd < 0 || j->dir[0]) /* made for a start that has to be tried again */
		return 0;
	(void)snprintf(j->dir, sizeof(j->dir), "%08" PRIx32 ".%" PRIu64 ".%" PRIu32, j->session->instance, j->id, j->attempt);
	if (mkdirat(n->workdir_fd, j->dir, 0700) == 0)
		return 0;
	j->dir[0] = '\0';
	return -errno;
}

void node_dir_remove(struct node_job *j)
{
	struct pcore_node *n = j->session->node;

	if (j->dir[0])
		node_trash(n, j->dir);
	j->dir[0] = '\0';
}

/* ---- running it ---- */

static int build_words(struct node_job *j)
{
	struct pcore_node *n = j->session->node;
	struct pcore_job_place place = { .slot = j->job.slot, .node = n->spec.name };
	int r = list_resources(j);

	free(n->words.argv);
	n->words = (struct pcore_job_words){ NULL, NULL };
	place.vars = n->vars_list;
	return r < 0 ? r : pcore_job_words(&n->words, &j->template->t, &j->template->env->env, &j->as, &place);
}

void node_describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	static char *nothing[] = { (char *)"", NULL };
	struct pcore_node *n = ctx;
	struct node_job *j = container_of(job, struct node_job, job);
	bool ready = node_dir_make(j) == 0 && build_words(j) == 0; /* else the start fails */

	*spec = j->template->t.spec.proc;
	spec->argv = ready ? n->words.argv : nothing;
	spec->envp = ready ? n->words.envp : nothing + 1;
	if (!ready)
		spec->file = NULL;
	if (j->dir[0] && !spec->chdir) {
		(void)snprintf(n->chdir, sizeof(n->chdir), "%s/%s", n->spec.workdir, j->dir);
		spec->chdir = n->chdir;
	}
}

int node_argv(const struct node_job *j, struct pcore_buf *ret, size_t *ret_n)
{
	const struct pcore_job_place place = { .slot = j->job.slot, .node = j->session->node->spec.name };
	struct pcore_job_words words = { NULL, NULL };
	size_t n = 0;
	int r = pcore_job_words(&words, &j->template->t, &j->template->env->env, &j->as, &place);

	pcore_buf_clear(ret);
	for (; r == 0 && words.argv[n] && ret->len < NODE_ARGV_MAX; n++) {
		r = pcore_buf_add(ret, words.argv[n], strnlen(words.argv[n], NODE_ARGV_MAX - 1 - ret->len));
		if (r == 0)
			r = pcore_buf_addc(ret, '\0');
	}
	free(words.argv);
	*ret_n = n;
	return r;
}

void node_result(const struct node_job *j, struct pcore_wire_done *d)
{
	pcore_done_of_result(d, &j->job.result);
	d->job = j->id;
	d->attempt = j->attempt;
	d->slot = j->job.slot;
	d->flags |= j->cut;
	d->input = j->in.taken;
	for (int i = 0; i < 2; i++) {
		d->bytes[i] = j->out[i].total;
		d->sent[i] = j->out[i].first + j->out[i].buf.len;
	}
}
