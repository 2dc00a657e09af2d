/* SPDX-License-Identifier: MIT */
/*
 * jobopts.c - the options that say how a command is run.
 */
#include "tools/cli/jobopts.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(struct cli_job_opts, member)

static int append(char ***list, size_t *n, const char *value)
{
	char **grown = reallocarray(*list, *n + 1, sizeof(*grown));

	if (!grown)
		return cli_error("out of memory");
	grown[(*n)++] = (char *)value;
	*list = grown;
	return 0;
}

static int set_env(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;

	if (!strchr(value, '=') || value[0] == '=')
		return cli_opt_bad(name, value, "must be NAME=VALUE");
	return append(&o->set, &o->n_set, value);
}

static int set_unset(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;

	if (!value[0] || strchr(value, '='))
		return cli_opt_bad(name, value, "not the name of a variable");
	return append(&o->unset, &o->n_unset, value);
}

static int parse_limit_value(const char *s, int resource, rlim_t *ret)
{
	uint64_t v = 0;
	int r;

	if (strcmp(s, "unlimited") == 0 || strcmp(s, "inf") == 0) {
		*ret = RLIM_INFINITY;
		return 0;
	}
	r = pcore_limit_is_size(resource) ? pcore_parse_size(s, &v) : pcore_parse_u64(s, 0, UINT64_MAX - 1, &v);
	if (r < 0)
		return r;
	*ret = v;
	return 0;
}

static int add_limit(struct cli_job_opts *o, struct pcore_proc_limit limit)
{
	struct pcore_proc_limit *limits;
	size_t i;

	for (i = 0; i < o->n_limits && o->limits[i].resource != limit.resource; i++)
		;
	if (i == o->n_limits) {
		limits = reallocarray(o->limits, i + 1, sizeof(*limits));
		if (!limits)
			return -ENOMEM;
		o->limits = limits;
		o->n_limits++;
	}
	o->limits[i] = limit;
	return 0;
}

static int set_limit(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;
	struct pcore_proc_limit l;
	char word[128];
	char *soft, *hard;

	if (strlen(value) >= sizeof(word) || !strchr(value, '='))
		return cli_opt_bad(name, value, "must be NAME=SOFT[:HARD]");
	strcpy(word, value);
	soft = strchr(word, '=');
	*soft++ = '\0';
	hard = strchr(soft, ':');
	if (hard)
		*hard++ = '\0';
	l.resource = pcore_limit_by_name(word);
	if (l.resource < 0)
		return cli_opt_bad(name, value, "no such limit");
	if (parse_limit_value(soft, l.resource, &l.limit.rlim_cur) < 0)
		return cli_opt_bad(name, value, "not a limit (a number, for bytes with K M G T, or unlimited)");
	l.limit.rlim_max = l.limit.rlim_cur;
	if (hard && parse_limit_value(hard, l.resource, &l.limit.rlim_max) < 0)
		return cli_opt_bad(name, value, "not a limit (a number, for bytes with K M G T, or unlimited)");
	if (l.limit.rlim_cur > l.limit.rlim_max)
		return cli_opt_bad(name, value, "the soft limit is above the hard one");
	return add_limit(o, l) == 0 ? 0 : cli_error("out of memory");
}

static int set_nice(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;
	int64_t v;

	if (pcore_parse_i64(value, -20, 19, &v) < 0)
		return cli_opt_bad(name, value, "must be a whole number from -20 to 19");
	o->nice = (int)v;
	return 0;
}

static int set_umask(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;
	size_t len = strlen(value);

	if (len == 0 || len > 4 || strspn(value, "01234567") != len || strtoul(value, NULL, 8) > 0777)
		return cli_opt_bad(name, value, "not an octal mask from 0 to 777");
	o->umask = (mode_t)strtoul(value, NULL, 8);
	o->set_umask = true;
	return 0;
}

static int parse_cpu(const char *s, size_t len, uint64_t *ret)
{
	char word[8];

	if (len >= sizeof(word))
		return -ERANGE;
	memcpy(word, s, len);
	word[len] = '\0';
	return pcore_parse_u64(word, 0, CPU_SETSIZE - 1, ret);
}

static int set_affinity(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;
	const char *p = value;

	if (!o->affinity)
		o->affinity = malloc(sizeof(*o->affinity));
	if (!o->affinity)
		return cli_error("out of memory");
	CPU_ZERO(o->affinity);
	for (;;) {
		size_t len = strcspn(p, ","), first_len = strcspn(p, "-,");
		uint64_t first, last;

		if (parse_cpu(p, first_len, &first) < 0)
			return cli_opt_bad(name, value, "not a list of CPUs such as 0,2-3");
		last = first;
		if (first_len < len && parse_cpu(p + first_len + 1, len - first_len - 1, &last) < 0)
			return cli_opt_bad(name, value, "not a list of CPUs such as 0,2-3");
		if (last < first)
			return cli_opt_bad(name, value, "a range must ascend");
		for (uint64_t cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, o->affinity);
		if (!p[len])
			break;
		p += len + 1;
	}
	return 0;
}

/* "fifo:10", "batch" */
static int set_sched(void *opts, const char *name, const char *value)
{
	static const struct {
		const char *name;
		int policy;
		bool real_time;
	} policies[] = { { "other", SCHED_OTHER, false }, { "batch", SCHED_BATCH, false }, { "idle", SCHED_IDLE, false },
		{ "fifo", SCHED_FIFO, true }, { "rr", SCHED_RR, true } };
	struct cli_job_opts *o = opts;
	size_t len = strcspn(value, ":");
	uint64_t priority = 0;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (strlen(policies[i].name) != len || strncmp(policies[i].name, value, len) != 0)
			continue;
		if (policies[i].real_time != (value[len] == ':'))
			break;
		if (value[len] && pcore_parse_u64(value + len + 1, 1, 99, &priority) < 0)
			return cli_opt_bad(name, value, "the priority must be from 1 to 99");
		o->sched_policy = policies[i].policy;
		o->sched_priority = (int)priority;
		o->set_sched = true;
		return 0;
	}
	return cli_opt_bad(name, value, "must be other, batch, idle, fifo:N or rr:N");
}

static int set_ionice(void *opts, const char *name, const char *value)
{
	static const char *const classes[] = { "", "realtime", "best-effort", "idle" };
	struct cli_job_opts *o = opts;
	size_t len = strcspn(value, ":");
	uint64_t level = 4;

	for (int i = 1; i < (int)ARRAY_SIZE(classes); i++) {
		if (strlen(classes[i]) != len || strncmp(classes[i], value, len) != 0)
			continue;
		if (value[len] && (i == 3 || pcore_parse_u64(value + len + 1, 0, 7, &level) < 0))
			return cli_opt_bad(name, value, "the level must be from 0 to 7, and idle has none");
		o->ioprio = i << 13 | (i == 3 ? 0 : (int)level);
		o->set_ionice = true;
		return 0;
	}
	return cli_opt_bad(name, value, "must be realtime[:N], best-effort[:N] or idle");
}

static int set_oom_adj(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;
	int64_t v;

	if (pcore_parse_i64(value, -1000, 1000, &v) < 0)
		return cli_opt_bad(name, value, "must be a whole number from -1000 to 1000");
	o->oom_adj = (int)v;
	o->set_oom_adj = true;
	return 0;
}

/* A user by name or number. Alone it brings its primary group, and no others. */
static int set_user(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;
	const struct passwd *pw = getpwnam(value);
	uint64_t id;

	if (!pw && pcore_parse_u64(value, 0, UINT32_MAX - 1, &id) == 0) {
		pw = getpwuid((uid_t)id);
		o->uid = (uid_t)id;
	} else if (!pw) {
		return cli_opt_bad(name, value, "no such user");
	}
	if (pw)
		o->uid = pw->pw_uid;
	o->set_uid = true;
	if (!o->set_gid && pw)
		o->gid = pw->pw_gid;
	else if (!o->set_gid)
		o->gid = (gid_t)o->uid;
	return 0;
}

static int parse_group(const char *word, gid_t *ret)
{
	const struct group *gr = getgrnam(word);
	uint64_t id;

	if (!gr && pcore_parse_u64(word, 0, UINT32_MAX - 1, &id) < 0)
		return -EINVAL;
	*ret = gr ? gr->gr_gid : (gid_t)id;
	return 0;
}

static int set_group(void *opts, const char *name, const char *value)
{
	struct cli_job_opts *o = opts;

	if (parse_group(value, &o->gid) < 0)
		return cli_opt_bad(name, value, "no such group");
	o->set_gid = true;
	return 0;
}

static int set_groups(void *opts, const char *name, const char *value)
{
	_cleanup_(freep) char *words = strdup(value);
	struct cli_job_opts *o = opts;
	char *save = NULL;

	if (!words)
		return cli_error("out of memory");
	free(o->groups);
	o->groups = calloc(strlen(value) / 2 + 1, sizeof(*o->groups));
	o->n_groups = 0;
	if (!o->groups)
		return cli_error("out of memory");
	for (char *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save))
		if (parse_group(word, &o->groups[o->n_groups++]) < 0)
			return cli_opt_bad(name, word, "no such group");
	o->set_groups = true;
	return 0;
}

const struct cli_opt cli_job_identity_table[] = {
	{ .name = "Who it is and how it is scheduled", .kind = CLI_OPT_HEADING },
	{ .name = "user", .kind = CLI_OPT_CALL, .arg = "USER", .set = set_user, .help = "run as USER, with its primary group only" },
	{ .name = "group", .kind = CLI_OPT_CALL, .arg = "GROUP", .set = set_group, .help = "run as this group" },
	{ .name = "groups", .kind = CLI_OPT_CALL, .arg = "LIST", .set = set_groups, .help = "supplementary groups (empty: none)" },
	{ .name = "sched", .kind = CLI_OPT_CALL, .arg = "POLICY[:N]", .set = set_sched, .help = "other, batch, idle, fifo:N, rr:N" },
	{ .name = "ionice", .kind = CLI_OPT_CALL, .arg = "CLASS[:N]", .set = set_ionice, .help = "realtime[:N], best-effort[:N], idle" },
	{ .name = "oom-adj", .kind = CLI_OPT_CALL, .arg = "N", .set = set_oom_adj, .help = "-1000 (spare it) to 1000 (kill it first)" },
	{ .name = NULL },
};

const struct cli_opt cli_job_place_table[] = {
	{ .name = "Where and how the command runs", .kind = CLI_OPT_HEADING },
	{ .name = "chdir", .kind = CLI_OPT_STRING, .arg = "DIR", .offset = AT(chdir), .help = "run in DIR" },
	{ .name = "env", .kind = CLI_OPT_CALL, .arg = "NAME=VALUE", .set = set_env, .help = "set a variable" },
	{ .name = "unset", .kind = CLI_OPT_CALL, .arg = "NAME", .set = set_unset, .help = "remove a variable" },
	{ .name = "clean-env", .kind = CLI_OPT_FLAG, .offset = AT(clean_env), .help = "begin with an empty environment" },
	{ .name = "umask", .kind = CLI_OPT_CALL, .arg = "MASK", .set = set_umask, .help = "file mode creation mask, octal" },
	{ .name = NULL },
};

const struct cli_opt cli_job_bounds_table[] = {
	{ .name = "limit", .kind = CLI_OPT_CALL, .arg = "NAME=SOFT[:HARD]", .set = set_limit, .help = "set a resource limit (nofile, as, cpu, ...)" },
	{ .name = "nice", .kind = CLI_OPT_CALL, .arg = "N", .set = set_nice, .help = "add N to the nice value" },
	{ .name = "affinity", .kind = CLI_OPT_CALL, .arg = "LIST", .set = set_affinity, .help = "run on these CPUs only (0,2-3)" },
	{ .name = NULL },
};

const struct cli_opt cli_job_time_table[] = {
	{ .name = "Time, failures, leftovers", .kind = CLI_OPT_HEADING },
	{ .name = "timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(timeout), .help = "end it when it runs longer" },
	{ .name = "signal", .kind = CLI_OPT_SIGNAL, .arg = "SIG", .offset = AT(signal), .help = "how it is asked to end (TERM)" },
	{ .name = "kill-after", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(kill_after), .help = "kill it this long after the signal (2s)" },
	{ .name = "retry", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(retry), .min = 0, .max = 1000000000, .help = "try up to N more times when it fails" },
	{ .name = "retry-delay", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(retry_delay), .help = "wait before each further try (1s)" },
	{ .name = "linger", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(linger), .help = "how long what it leaves running may go on (0.1s)" },
	{ .name = "leave", .kind = CLI_OPT_FLAG, .offset = AT(leave), .help = "let what it leaves running live" },
	{ .name = NULL },
};

void cli_job_opts_init(struct cli_job_opts *o)
{
	*o = (struct cli_job_opts){
		.timeout = INT64_MAX,
		.signal = SIGTERM,
		.kill_after = 2 * NS_PER_S,
		.retry_delay = NS_PER_S,
		.linger = 100 * NS_PER_MS,
	};
}

void cli_job_opts_done(struct cli_job_opts *o)
{
	free(o->set);
	free(o->unset);
	free(o->groups);
	free(o->limits);
	free(o->affinity);
}

size_t cli_job_limits(const struct cli_job_opts *o, struct pcore_proc_limit *to)
{
	for (size_t i = 0; i < o->n_limits; i++)
		to[i] = o->limits[i];
	return o->n_limits;
}

void cli_limits_default(struct pcore_proc_limit *limits, size_t *n, int resource, struct rlimit value)
{
	for (size_t i = 0; i < *n; i++)
		if (limits[i].resource == resource)
			return;
	limits[(*n)++] = (struct pcore_proc_limit){ resource, value };
}

/* Do a variable of the environment and "K=V" or "K" have the same name? */
static bool same_name(const char *var, const char *word)
{
	size_t len = strcspn(word, "=");

	return strncmp(var, word, len) == 0 && var[len] == '=';
}

static size_t remove_var(char **env, size_t n, const char *word)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!same_name(env[i], word))
			env[kept++] = env[i];
	return kept;
}

static size_t keep_basic(char **env, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (pcore_sandbox_keeps_var(env[i]))
			env[kept++] = env[i];
	return kept;
}

char **cli_job_env(const struct cli_job_opts *o, size_t extra, size_t *ret_n)
{
	size_t n = 0;
	char **env;

	while (!o->clean_env && environ[n])
		n++;
	env = calloc(n + o->n_set + extra + 1, sizeof(*env));
	if (!env)
		return NULL;

	memcpy(env, environ, n * sizeof(*env));
	if (o->basic_env)
		n = keep_basic(env, n);
	for (size_t i = 0; i < o->n_unset; i++)
		n = remove_var(env, n, o->unset[i]);
	for (size_t i = 0; i < o->n_set; i++) {
		n = remove_var(env, n, o->set[i]);
		env[n++] = o->set[i];
	}
	env[n] = NULL;
	*ret_n = n;
	return env;
}

static uint64_t ignored_bits(void)
{
	static const int kept[] = { SIGHUP, SIGINT, SIGQUIT };
	uint64_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (sigismember(&cli_inherited.ignored, kept[i]))
			bits |= UINT64_C(1) << (kept[i] - 1);
	return bits;
}

void cli_job_spec(const struct cli_job_opts *o, struct pcore_proc_spec *spec)
{
	*spec = (struct pcore_proc_spec){
		.size = sizeof(*spec),
		.chdir = o->chdir,
		.limits = o->limits,
		.n_limits = o->n_limits,
		.nice = o->nice,
		.set_umask = o->set_umask,
		.umask = o->umask,
		.affinity = o->affinity,
		.set_sched = o->set_sched,
		.sched_policy = o->sched_policy,
		.sched_priority = o->sched_priority,
		.set_ionice = o->set_ionice,
		.ioprio = o->ioprio,
		.set_oom_adj = o->set_oom_adj,
		.oom_adj = o->oom_adj,
		.set_groups = o->set_groups || o->set_uid,
		.groups = o->groups,
		.n_groups = o->n_groups,
		.set_gid = o->set_gid || o->set_uid,
		.gid = o->gid,
		.set_uid = o->set_uid,
		.uid = o->uid,
		.keep_ignored = ignored_bits(),
	};
}

struct pcore_proc_times cli_job_times(const struct cli_job_opts *o)
{
	return (struct pcore_proc_times){
		.timeout = o->timeout ? o->timeout : INT64_MAX,
		.signal = o->signal,
		.kill_after = o->kill_after,
		.linger = o->linger,
		.leave = o->leave,
	};
}

int cli_loop_new(struct pcore_loop **ret, enum pcore_loop_backend backend)
{
	const char *name = getenv("PCORE_LOOP");
	int r;

	if (name && strcmp(name, "uring") == 0)
		backend = PCORE_LOOP_URING;
	else if (name && strcmp(name, "epoll") == 0)
		backend = PCORE_LOOP_EPOLL;
	else if (name && *name)
		return cli_error("invalid value '%s' of PCORE_LOOP: must be uring or epoll", name);
	r = pcore_loop_new(ret, backend);
	if (r < 0)
		return cli_error("cannot start the event loop '%s': %s", name && *name ? name : "epoll", strerror(-r));
	return CLI_GO;
}
