/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c - the options that say what the command may do.
 */
#include <string.h>
#include <unistd.h>

#include "tools/prun/prun.h"

static int set_level(void *opts, const char *name, const char *value)
{
	struct prun_opts *o = opts;

	for (int level = PCORE_SANDBOX_NONE; level <= PCORE_SANDBOX_STRICT; level++)
		if (strcmp(value, pcore_sandbox_level_name((enum pcore_sandbox_level)level)) == 0) {
			o->sandbox.spec.level = (enum pcore_sandbox_level)level;
			o->job.basic_env = level == PCORE_SANDBOX_STRICT;
			return 0;
		}
	return cli_opt_bad(name, value, "must be none, default or strict");
}

static int add_path(const char *paths[static PCORE_SANDBOX_PATHS_MAX], size_t *n, const char *name, const char *value)
{
	if (!*value)
		return cli_opt_bad(name, value, "must be a path");
	if (*n == PCORE_SANDBOX_PATHS_MAX)
		return cli_opt_bad(name, value, "too many of these");
	paths[(*n)++] = value;
	return 0;
}

static int set_ro(void *opts, const char *name, const char *value)
{
	struct prun_sandbox *s = &((struct prun_opts *)opts)->sandbox;

	return add_path(s->ro, &s->spec.n_ro, name, value);
}

static int set_rw(void *opts, const char *name, const char *value)
{
	struct prun_sandbox *s = &((struct prun_opts *)opts)->sandbox;

	return add_path(s->rw, &s->spec.n_rw, name, value);
}

static int add_caps(uint64_t *set, const char *name, const char *value)
{
	uint64_t caps;

	if (pcore_caps_parse(value, &caps) < 0)
		return cli_opt_bad(name, value, "not a list of capabilities such as net_raw,sys_time");
	*set |= caps;
	return 0;
}

static int set_drop_caps(void *opts, const char *name, const char *value)
{
	return add_caps(&((struct prun_opts *)opts)->sandbox.spec.drop_caps, name, value);
}

static int set_keep_caps(void *opts, const char *name, const char *value)
{
	if (strcasecmp(value, "all") == 0)
		return cli_opt_bad(name, value, "must be a list of capabilities");
	return add_caps(&((struct prun_opts *)opts)->sandbox.spec.keep_caps, name, value);
}

#define AT(member) offsetof(struct prun_opts, sandbox.member)

const struct cli_opt prun_sandbox_table[] = {
	{ .name = "Sandbox", .kind = CLI_OPT_HEADING },
	{ .name = "sandbox", .kind = CLI_OPT_CALL, .arg = "LEVEL", .set = set_level, .help = "none, default or strict" },
	{ .name = "allow-net", .kind = CLI_OPT_FLAG, .offset = AT(spec.allow_net), .help = "strict: keep the network" },
	{ .name = "allow-io-uring", .kind = CLI_OPT_FLAG, .offset = AT(spec.allow_io_uring), .help = "let it use io_uring, which no filter sees through" },
	{ .name = "ro", .kind = CLI_OPT_CALL, .arg = "PATH", .set = set_ro, .help = "strict: let it read PATH" },
	{ .name = "rw", .kind = CLI_OPT_CALL, .arg = "PATH", .set = set_rw, .help = "strict: let it read and write PATH" },
	{ .name = "private-tmp", .kind = CLI_OPT_FLAG, .offset = AT(spec.private_tmp), .help = "give it an empty /tmp of its own" },
	{ .name = "drop-caps", .kind = CLI_OPT_CALL, .arg = "LIST|all", .set = set_drop_caps, .help = "run without these capabilities" },
	{ .name = "keep-caps", .kind = CLI_OPT_CALL, .arg = "LIST", .set = set_keep_caps, .help = "but keep these" },
	{ .name = "no-new-privs", .kind = CLI_OPT_FLAG, .offset = AT(spec.no_new_privs), .help = "let no set-user-ID program give it more rights" },
	{ .name = "sandbox-report", .kind = CLI_OPT_FLAG, .offset = AT(report), .help = "say what is in force (without COMMAND: and end)" },
	{ .name = NULL },
};

const char *prun_sandbox_conflict(const struct prun_opts *o)
{
	const struct pcore_sandbox_spec *s = &o->sandbox.spec;
	const bool strict = s->level == PCORE_SANDBOX_STRICT;
	const struct {
		bool wrong;
		const char *why;
	} rules[] = {
		{ (s->n_ro || s->n_rw) && !strict, "--ro and --rw need --sandbox strict" },
		{ s->allow_net && !strict, "--allow-net needs --sandbox strict" },
		{ s->allow_io_uring && s->level == PCORE_SANDBOX_NONE, "--allow-io-uring needs --sandbox default or strict" },
		{ s->keep_caps && s->level == PCORE_SANDBOX_NONE && !s->drop_caps, "--keep-caps needs --drop-caps or --sandbox" },
		{ s->drop_caps != UINT64_MAX && (s->drop_caps & s->keep_caps), "--drop-caps and --keep-caps name the same capability" },
		{ strict && o->job.leave, "--sandbox strict and --leave exclude each other: a namespace ends as a whole" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].wrong)
			return rules[i].why;
	return NULL;
}

static int describe(const struct prun_opts *o, const struct pcore_sandbox *b, int fd)
{
	struct pcore_buf text = PCORE_BUF_INIT(0);
	int r = o->json ? pcore_sandbox_describe_json(b, &text) : pcore_sandbox_describe(b, &text);
	int status = CLI_GO;

	if (r == 0 && o->json)
		r = pcore_buf_addc(&text, '\n');
	if (r == 0)
		r = pcore_buf_terminate(&text);
	if (r < 0)
		status = cli_error("out of memory");
	else if (fd == STDOUT_FILENO)
		status = cli_print(text.data);
	else if (pcore_fd_write_all(fd, text.data, text.len) < 0)
		status = CLI_FAILURE;
	pcore_buf_done(&text);
	return status;
}

static int compile(const struct prun_opts *o, struct pcore_sandbox **ret)
{
	struct pcore_sandbox_spec spec = o->sandbox.spec;
	struct pcore_err err;

	spec.size = sizeof(spec);
	spec.ro = o->sandbox.ro;
	spec.rw = o->sandbox.rw;
	return pcore_sandbox_compile(&spec, ret, &err) < 0 ? cli_spawn_error(&err, "") : CLI_GO;
}

int prun_sandbox_make(const struct prun_opts *o, struct pcore_sandbox **ret)
{
	const struct pcore_sandbox_spec *s = &o->sandbox.spec;
	int status;

	if (s->level == PCORE_SANDBOX_NONE && !s->private_tmp && !s->no_new_privs && !s->drop_caps && !o->sandbox.report)
		return CLI_GO;
	status = compile(o, ret);
	return status == CLI_GO && o->sandbox.report ? describe(o, *ret, STDERR_FILENO) : status;
}

int prun_sandbox_print(const struct prun_opts *o)
{
	struct pcore_sandbox *b;
	int status = compile(o, &b);

	if (status != CLI_GO)
		return status;
	status = describe(o, b, STDOUT_FILENO);
	pcore_sandbox_free(b);
	return status;
}
