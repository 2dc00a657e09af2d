/* SPDX-License-Identifier: MIT */
/*
 * jobwire.c - the options that say how a command is run, for commands that are run by a node.
 */
#include "tools/cli/jobwire.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where --chdir leads, or here where we are. A relative one begins where we are. */
static int find_dir(const char *chdir, char dir[static PATH_MAX])
{
	bool absolute = chdir && chdir[0] == '/';
	size_t len;

	if (!absolute && !getcwd(dir, PATH_MAX))
		return cli_error("cannot find out the current directory: %s", strerror(errno));
	len = absolute ? 0 : strlen(dir);
	if (chdir && (size_t)snprintf(dir + len, PATH_MAX - len, "%s%s", absolute ? "" : "/", chdir) >= PATH_MAX - len)
		return cli_error("cannot change directory to '%s': %s", chdir, strerror(ENAMETOOLONG));
	return CLI_GO;
}

static mode_t our_umask(void)
{
	mode_t mask = umask(077);

	(void)umask(mask);
	return mask;
}

int cli_jobspec(const struct cli_job_opts *o, bool here, char dir[static PATH_MAX], struct pcore_jobspec *ret)
{
	*ret = (struct pcore_jobspec){ .times = cli_job_times(o), .max_output = UINT64_MAX };
	cli_job_spec(o, &ret->proc);
	if (here && !o->set_umask) {
		ret->proc.set_umask = true;
		ret->proc.umask = our_umask();
	}
	if (!here && !o->chdir)
		return CLI_GO;
	ret->proc.chdir = dir;
	return find_dir(o->chdir, dir);
}

/* Of several settings of a variable only the last one counts. */
static bool set_later(const struct cli_job_opts *o, size_t i)
{
	size_t len = strcspn(o->set[i], "=") + 1;

	for (size_t k = i + 1; k < o->n_set; k++)
		if (strncmp(o->set[k], o->set[i], len) == 0)
			return true;
	return false;
}

static int put_elsewhere(struct pcore_buf *b, const struct cli_job_opts *o)
{
	_cleanup_(freep) char **unset = calloc(o->n_unset + 1, sizeof(*unset));
	_cleanup_(freep) char **set = calloc(o->n_set + 1, sizeof(*set));
	struct pcore_wire_env env = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ENV_UNSET) | PCORE_WIRE_HAS(PCORE_WIRE_ENV_VARS),
		.node_base = !o->clean_env };
	size_t n = 0;

	if (!unset || !set)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_unset; i++)
		unset[i] = o->unset[i];
	for (size_t i = 0; i < o->n_set; i++)
		if (!set_later(o, i))
			set[n++] = o->set[i];
	env.unset.list = unset;
	env.vars.list = set;
	return pcore_wire_put_env(b, &env);
}

/* A string of our environment that is no variable is not known to any program either. */
static void only_variables(char **vars, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (strchr(vars[i], '=') && vars[i][0] != '=')
			vars[kept++] = vars[i];
	vars[kept] = NULL;
}

int cli_jobenv_put(struct pcore_buf *b, const struct cli_job_opts *o, bool here)
{
	_cleanup_(freep) char **vars = NULL;
	struct pcore_wire_env env = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ENV_VARS) };
	size_t n = 0;

	if (!here)
		return put_elsewhere(b, o);
	vars = cli_job_env(o, 0, &n);
	if (!vars)
		return -ENOMEM;
	only_variables(vars, n);
	env.vars.list = vars;
	return pcore_wire_put_env(b, &env);
}

static int put_part(void *ctx, enum cli_template_part kind, size_t n, const char *text, size_t len)
{
	static const enum pcore_wire_piece_kind kinds[] = {
		[CLI_PART_TEXT] = PCORE_WIRE_TEXT,
		[CLI_PART_ARG] = PCORE_WIRE_ARG,
		[CLI_PART_SEQ] = PCORE_WIRE_SEQ,
		[CLI_PART_SLOT] = PCORE_WIRE_SLOT,
		[CLI_PART_REST] = PCORE_WIRE_SPREAD,
		[CLI_PART_END] = PCORE_WIRE_END,
	};
	struct pcore_wire_piece p = { .kind = kinds[kind], .n = (uint32_t)(kind == CLI_PART_TEXT ? len : n), .text = text };

	return pcore_wire_add_piece(ctx, &p);
}

int cli_argv_put(struct pcore_buf *b, const struct cli_template *t, bool many)
{
	size_t start = b->len;
	int r = cli_template_parts(t, many, put_part, b);

	if (r < 0)
		b->len = start;
	return r;
}

struct alone {
	struct pcore_buf *b;
	bool left_out; /* and so is the end of this word */
};

static int put_alone(void *ctx, enum cli_template_part kind, size_t n, const char *text, size_t len)
{
	struct alone *a = ctx;
	bool ends = a->left_out;

	a->left_out = kind == CLI_PART_REST;
	if (kind == CLI_PART_ARG || kind == CLI_PART_REST || (ends && kind == CLI_PART_END))
		return 0;
	return put_part(a->b, kind, n, text, len);
}

int cli_argv_put_alone(struct pcore_buf *b, const struct cli_template *t)
{
	struct alone a = { .b = b };

	return cli_template_parts(t, false, put_alone, &a);
}
