/* SPDX-License-Identifier: MIT */
/*
 * cluster_spec.c - tests of jobs as messages: what the options say is on a node what it is here.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "tests/unit/running.h"
#include "tools/cli/jobwire.h"

/* ---- options, and what a node makes of them ---- */

static struct cli_job_opts opts;

static void parse(const char *line)
{
	static char copy[1024];
	static char *argv[64];
	static const struct cli_opt *const tables[] = { cli_job_place_table, cli_job_bounds_table, cli_job_identity_table,
		cli_job_time_table, NULL };
	static void *const targets[] = { &opts, &opts, &opts, &opts };
	struct cli_opts o = { .usage = "test", .summary = "A test.", .tables = tables, .targets = targets };
	int argc = 1, operand = 0;

	cli_job_opts_done(&opts);
	cli_job_opts_init(&opts);
	snprintf(copy, sizeof(copy), "test %s", line);
	argv[0] = strtok(copy, " ");
	while (argc < 63 && (argv[argc] = strtok(NULL, " ")))
		argc++;
	assert_int_equal(cli_opts_parse(&o, argc, argv, &operand), CLI_GO);
}

static int after(void **state)
{
	cli_job_opts_done(&opts);
	cli_job_opts_init(&opts);
	return support_after(state);
}

#define OPTS_TEST(f) cmocka_unit_test_setup_teardown(f, support_before, after)

/* Over the wire, and in a block of its own. */
static void send_template(const struct pcore_jobspec *s, struct pcore_template *ret)
{
	static char *const words[] = { (char *)"true", NULL };
	struct pcore_buf argv = PCORE_BUF_INIT(0), b = PCORE_BUF_INIT(0);
	struct pcore_wire_argv pieces;
	struct pcore_wire_frame f = { .type = PCORE_WIRE_TEMPLATE };
	char *body;

	assert_int_equal(pcore_argv_put(&argv, words), 0);
	pieces = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_jobspec_put(&b, s, 3, &pieces), 0);
	body = malloc(b.len);
	assert_non_null(body);
	memcpy(body, b.data, b.len);
	f.body = body;
	f.len = b.len;
	assert_int_equal(pcore_template_read(ret, &f), 0);
	assert_int_equal(ret->env, 3);
	memset(body, 'x', b.len); /* nothing points there any more */
	free(body);
	pcore_buf_done(&b);
	pcore_buf_done(&argv);
}

static void same_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void same_identity(const struct pcore_proc_spec *a, const struct pcore_proc_spec *b)
{
	assert_int_equal(a->set_uid, b->set_uid);
	assert_int_equal(a->set_uid ? a->uid : 0, b->uid);
	assert_int_equal(a->set_gid, b->set_gid);
	assert_int_equal(a->set_gid ? a->gid : 0, b->gid);
	assert_int_equal(a->set_groups, b->set_groups);
	assert_int_equal(a->n_groups, b->n_groups);
	for (size_t i = 0; i < a->n_groups; i++)
		assert_int_equal(a->groups[i], b->groups[i]);
	assert_int_equal(a->set_sched, b->set_sched);
	assert_int_equal(a->sched_policy, b->sched_policy);
	assert_int_equal(a->sched_priority, b->sched_priority);
	assert_int_equal(a->set_ionice, b->set_ionice);
	assert_int_equal(a->ioprio, b->ioprio);
	assert_int_equal(a->set_oom_adj, b->set_oom_adj);
	assert_int_equal(a->oom_adj, b->oom_adj);
}

static void same_proc(const struct pcore_proc_spec *a, const struct pcore_proc_spec *b)
{
	assert_int_equal(a->size, b->size);
	same_text(a->file, b->file);
	same_text(a->chdir, b->chdir);
	assert_int_equal(a->n_limits, b->n_limits);
	for (size_t i = 0; i < a->n_limits; i++) {
		assert_int_equal(a->limits[i].resource, b->limits[i].resource);
		assert_true(a->limits[i].limit.rlim_cur == b->limits[i].limit.rlim_cur);
		assert_true(a->limits[i].limit.rlim_max == b->limits[i].limit.rlim_max);
	}
	assert_int_equal(!a->affinity, !b->affinity);
	if (a->affinity)
		assert_true(CPU_EQUAL(a->affinity, b->affinity));
	assert_int_equal(a->new_session, b->new_session);
	assert_int_equal(a->set_umask, b->set_umask);
	assert_int_equal(a->umask, b->umask);
	assert_int_equal(a->nice, b->nice);
	same_identity(a, b);
	assert_int_equal(b->n_fds, 0);
	assert_null(b->sandbox);
}

static void same_times(const struct pcore_proc_times *a, const struct pcore_proc_times *b)
{
	assert_true(a->timeout == b->timeout);
	assert_true(a->kill_after == b->kill_after);
	assert_true(a->linger == b->linger);
	assert_int_equal(a->signal, b->signal);
	assert_int_equal(a->leave, b->leave);
}

static const char *const lines[] = {
	"",
	"--limit nofile=64 --limit as=1G:2G --limit core=0:unlimited --limit cpu=inf",
	"--nice -5",
	"--affinity 0,2-3,1023",
	"--umask 027",
	"--sched fifo:10",
	"--sched batch",
	"--ionice idle",
	"--ionice realtime:0",
	"--oom-adj -1000",
	"--user 65534",
	"--user 12345 --group 7",
	"--user 0 --groups 1,2,3",
	"--groups 0",
	"--timeout 1.5 --signal INT --kill-after 10ms --linger 0 --leave",
	"--timeout inf --kill-after inf --linger inf",
	"--timeout 0",
	"--signal RTMAX",
};

static void each_option_is_on_a_node_what_it_is_here(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct pcore_proc_spec local;
		struct pcore_proc_times times;
		struct pcore_jobspec s;
		struct pcore_template t;
		char dir[PATH_MAX];

		parse(lines[i]);
		cli_job_spec(&opts, &local);
		times = cli_job_times(&opts);
		assert_int_equal(cli_jobspec(&opts, false, dir, &s), CLI_GO);
		send_template(&s, &t);
		same_proc(&local, &t.spec.proc);
		same_times(&times, &t.spec.times);
		assert_true(t.spec.max_output == UINT64_MAX);
		assert_int_equal(t.spec.sandbox.size, 0);
		assert_null(t.spec.worker);
		pcore_template_done(&t);
	}
}

static void all_options_together_are_kept_apart(void **state)
{
	char all[1024] = "", dir[PATH_MAX];
	struct pcore_proc_spec local;
	struct pcore_jobspec s;
	struct pcore_template t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", lines[i]);
	parse(all);
	cli_job_spec(&opts, &local);
	assert_int_equal(cli_jobspec(&opts, false, dir, &s), CLI_GO);
	send_template(&s, &t);
	same_proc(&local, &t.spec.proc);
	assert_int_equal(t.spec.proc.n_limits, 4);
	assert_int_equal(t.spec.proc.n_groups, 1);
	assert_int_equal(t.spec.times.signal, SIGRTMAX);
	assert_true(t.spec.times.leave);
	pcore_template_done(&t);
}

static void here_a_job_begins_where_we_are(void **state)
{
	char dir[PATH_MAX], cwd[PATH_MAX], expected[PATH_MAX + 8];
	struct pcore_jobspec s;
	mode_t mask = umask(0123);

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	parse("");
	assert_int_equal(cli_jobspec(&opts, true, dir, &s), CLI_GO);
	assert_string_equal(s.proc.chdir, cwd);
	assert_true(s.proc.set_umask);
	assert_int_equal(s.proc.umask, 0123);
	assert_int_equal(umask(mask), 0123); /* which was left as it was */
	assert_int_equal(cli_jobspec(&opts, false, dir, &s), CLI_GO);
	assert_null(s.proc.chdir);
	assert_false(s.proc.set_umask);
	parse("--chdir sub/x --umask 7");
	snprintf(expected, sizeof(expected), "%s/sub/x", cwd);
	for (int here = 0; here < 2; here++) {
		assert_int_equal(cli_jobspec(&opts, here, dir, &s), CLI_GO);
		assert_string_equal(s.proc.chdir, expected);
		assert_int_equal(s.proc.umask, 7);
	}
	parse("--chdir /tmp");
	assert_int_equal(cli_jobspec(&opts, false, dir, &s), CLI_GO);
	assert_string_equal(s.proc.chdir, "/tmp");
}

static void a_directory_whose_name_is_too_long_is_told(void **state)
{
	char dir[PATH_MAX], *name = malloc(PATH_MAX + 1);
	struct pcore_jobspec s;

	(void)state;
	assert_non_null(name);
	memset(name, 'x', PATH_MAX);
	name[PATH_MAX] = '\0';
	parse("");
	opts.chdir = name;
	capture_begin(STDERR_FILENO);
	assert_int_equal(cli_jobspec(&opts, false, dir, &s), CLI_FAILURE);
	assert_non_null(strstr(capture_end(), "cannot change directory to 'xxx"));
	free(name);
}

static void what_no_job_option_says_is_carried_too(void **state)
{
	struct pcore_jobspec s = { .proc = { .size = sizeof(s.proc), .file = "/bin/true", .new_session = true }, .want_io = true,
		.best_effort = true, .memory_max = 1, .tasks_max = 2, .cpu_max = 3, .io_weight = 4, .max_output = 0, .pipe_size = 6,
		.cpus = 7, .memory = 8, .times = { .signal = SIGTERM } };
	struct pcore_wire_resource gpu = { .name = "gpu", .count = 2 }, got;
	struct pcore_buf list = PCORE_BUF_INIT(0);
	struct pcore_template t;

	(void)state;
	assert_int_equal(pcore_wire_add_resource(&list, &gpu), 0);
	s.resources = (struct pcore_wire_list){ .data = list.data, .len = list.len, .n = 1 };
	send_template(&s, &t);
	same_proc(&s.proc, &t.spec.proc);
	same_times(&s.times, &t.spec.times);
	assert_true(t.spec.want_io && t.spec.best_effort);
	assert_int_equal(t.spec.memory_max, 1);
	assert_int_equal(t.spec.tasks_max, 2);
	assert_int_equal(t.spec.cpu_max, 3);
	assert_int_equal(t.spec.io_weight, 4);
	assert_int_equal(t.spec.max_output, 0);
	assert_int_equal(t.spec.pipe_size, 6);
	assert_int_equal(t.spec.cpus, 7);
	assert_int_equal(t.spec.memory, 8);
	assert_true(pcore_wire_next_resource(&t.spec.resources, &got));
	assert_string_equal(got.name, "gpu");
	assert_int_equal(got.count, 2);
	pcore_template_done(&t);
	pcore_buf_done(&list);
}

static void a_sandbox_is_the_same_on_a_node(void **state)
{
	static const char *const ro[] = { "/usr", "/a b" }, *const rw[] = { "/tmp" };
	struct pcore_sandbox_spec all = { .size = sizeof(all), .level = PCORE_SANDBOX_STRICT, .allow_net = true, .allow_io_uring = true,
		.private_tmp = true, .no_new_privs = true, .ro = ro, .n_ro = 2, .rw = rw, .n_rw = 1, .drop_caps = UINT64_MAX, .keep_caps = 5 };
	struct pcore_sandbox_spec none = { .size = sizeof(none) };
	struct pcore_jobspec s = { .proc = { .size = sizeof(s.proc) }, .times = { .signal = SIGTERM }, .sandbox = all };
	struct pcore_template t;

	(void)state;
	send_template(&s, &t);
	assert_int_equal(t.spec.sandbox.level, PCORE_SANDBOX_STRICT);
	assert_true(t.spec.sandbox.allow_net && t.spec.sandbox.allow_io_uring && t.spec.sandbox.private_tmp && t.spec.sandbox.no_new_privs);
	assert_true(t.spec.sandbox.drop_caps == UINT64_MAX);
	assert_int_equal(t.spec.sandbox.keep_caps, 5);
	assert_int_equal(t.spec.sandbox.n_ro, 2);
	assert_string_equal(t.spec.sandbox.ro[0], "/usr");
	assert_string_equal(t.spec.sandbox.ro[1], "/a b");
	assert_int_equal(t.spec.sandbox.n_rw, 1);
	assert_string_equal(t.spec.sandbox.rw[0], "/tmp");
	pcore_template_done(&t);

	s.sandbox = none;
	send_template(&s, &t);
	assert_int_equal(t.spec.sandbox.size, sizeof(t.spec.sandbox));
	assert_int_equal(t.spec.sandbox.level, PCORE_SANDBOX_NONE);
	assert_false(t.spec.sandbox.allow_net || t.spec.sandbox.allow_io_uring || t.spec.sandbox.private_tmp || t.spec.sandbox.no_new_privs);
	assert_int_equal(t.spec.sandbox.n_ro + t.spec.sandbox.n_rw, 0);
	pcore_template_done(&t);
}

static void a_worker_is_the_same_on_a_node(void **state)
{
	const struct pcore_worker_spec workers[] = {
		{ .window = 1, .form = { .kind = PCORE_ANSWER_LINES, .n_lines = 3 }, .idle_timeout = INT64_MAX, .answer_timeout = INT64_MAX,
			.slow_after = 5, .pty = true },
		{ .window = 64, .form = { .kind = PCORE_ANSWER_UNTIL, .text = "", .len = 0 }, .init = "a\0b", .init_len = 3, .items_max = 9,
			.idle_timeout = 1, .answer_timeout = 2, .slow_after = INT64_MAX },
		{ .window = 2, .form = { .kind = PCORE_ANSWER_FRAMES, .keep_length = true }, .idle_timeout = 1, .answer_timeout = 2,
			.slow_after = 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
		const struct pcore_worker_spec *a = &workers[i], *b;
		struct pcore_jobspec s = { .proc = { .size = sizeof(s.proc) }, .times = { .signal = SIGTERM }, .worker = a };
		struct pcore_template t;

		send_template(&s, &t);
		b = t.spec.worker;
		assert_non_null(b);
		assert_int_equal(a->form.kind, b->form.kind);
		assert_int_equal(a->form.n_lines, b->form.n_lines);
		assert_int_equal(a->form.len, b->form.len);
		assert_int_equal(a->form.keep_length, b->form.keep_length);
		assert_int_equal(a->window, b->window);
		assert_int_equal(!a->init, !b->init);
		assert_int_equal(a->init_len, b->init_len);
		if (a->init)
			assert_memory_equal(a->init, b->init, a->init_len);
		assert_int_equal(a->items_max, b->items_max);
		assert_true(a->idle_timeout == b->idle_timeout && a->answer_timeout == b->answer_timeout && a->slow_after == b->slow_after);
		assert_int_equal(a->pty, b->pty);
		pcore_template_done(&t);
	}
}

static void a_template_that_says_little_gets_the_defaults(void **state)
{
	struct pcore_wire_template m = { .has = 0 };
	struct pcore_buf argv = PCORE_BUF_INIT(0), b = PCORE_BUF_INIT(0);
	struct pcore_wire_frame f = { .type = PCORE_WIRE_TEMPLATE };
	struct pcore_proc_times times;
	struct pcore_template t;

	(void)state;
	assert_int_equal(pcore_argv_put_args(&argv), 0);
	m.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_wire_put_template(&b, &m), 0);
	f.body = b.data;
	f.len = b.len;
	assert_int_equal(pcore_template_read(&t, &f), 0);
	parse("");
	times = cli_job_times(&opts);
	same_times(&times, &t.spec.times);
	pcore_template_done(&t);
	f.len -= 8;
	assert_int_equal(pcore_template_read(&t, &f), -EPROTO);
	pcore_buf_done(&b);
	pcore_buf_done(&argv);
}

/* ---- environments ---- */

static char *const node_env[] = { (char *)"LD_PRELOAD=x", (char *)"PATH=/node", (char *)"HOME=/h", (char *)"SECRET=1", (char *)"LC_ALL=C",
	(char *)"PCORE_SEQ=77", NULL };

static void send_env(bool here, struct pcore_jobenv *ret)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_frame f = { .type = PCORE_WIRE_ENV };

	assert_int_equal(cli_jobenv_put(&b, &opts, here), 0);
	f.body = b.data;
	f.len = b.len;
	assert_int_equal(pcore_jobenv_read(ret, &f, node_env), 0);
	memset(b.data, 'x', b.len);
	pcore_buf_done(&b);
}

static void expect_env(const struct pcore_jobenv *e, char *const *vars, size_t n)
{
	assert_int_equal(e->n, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(e->vars[i], vars[i]);
}

static void here_a_job_has_the_environment_of_a_local_one(void **state)
{
	static const char *const options[] = { "", "--clean-env", "--clean-env --env A=1 --env B=2 --env A=3",
		"--unset PATH --env HOME=/x --env NEW=a=b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct pcore_jobenv e;
		char **local;
		size_t n = 0;

		parse(options[i]);
		local = cli_job_env(&opts, 0, &n);
		assert_non_null(local);
		send_env(true, &e);
		expect_env(&e, local, n);
		pcore_jobenv_done(&e);
		free(local);
	}
}

static void elsewhere_a_job_has_what_the_node_may_tell_and_what_is_set(void **state)
{
	static char *const basic[] = { (char *)"PATH=/node", (char *)"HOME=/h", (char *)"LC_ALL=C" };
	static char *const changed[] = { (char *)"LC_ALL=C", (char *)"PATH=/mine", (char *)"A=2" };
	static char *const only[] = { (char *)"A=1" };
	struct pcore_jobenv e;

	(void)state;
	parse("");
	send_env(false, &e);
	expect_env(&e, basic, 3);
	pcore_jobenv_done(&e);
	parse("--unset HOME --unset NONE --env A=1 --env PATH=/mine --env A=2");
	send_env(false, &e);
	expect_env(&e, changed, 3);
	pcore_jobenv_done(&e);
	parse("--clean-env --env A=1");
	send_env(false, &e);
	expect_env(&e, only, 1);
	pcore_jobenv_done(&e);
}

/* ---- a job's words ---- */

static void add(struct pcore_buf *b, enum pcore_wire_piece_kind kind, uint32_t n, const char *text)
{
	struct pcore_wire_piece p = { .kind = kind, .n = text ? (uint32_t)strlen(text) : n, .text = text };

	assert_int_equal(pcore_wire_add_piece(b, &p), 0);
}

static void expect_words(char *const *words, const char *const *expected)
{
	size_t i = 0;

	for (; expected[i]; i++) {
		assert_non_null(words[i]);
		assert_string_equal(words[i], expected[i]);
	}
	assert_null(words[i]);
}

static void pieces_arguments_and_numbers_become_words(void **state)
{
	static const char *const expected[] = { "sh", "", "x-one-42-3-one", "two", "", NULL };
	static const char *const vars[] = { "A=1", "PCORE_SEQ=42", "PCORE_SLOT=3", "PCORE_ATTEMPT=2", "PCORE_JOB=9", "PCORE_NODE=n1",
		"PCORE_RESOURCE_GPU=0,1", NULL };
	char *const more[] = { (char *)"PCORE_RESOURCE_GPU=0,1", NULL };
	char *env[] = { (char *)"PCORE_SEQ=1", (char *)"A=1", (char *)"PCORE_NODE=other" };
	struct pcore_jobenv e = { .vars = env, .n = 3 };
	struct pcore_wire_assign a = { .job = 9, .attempt = 70000, .seq = 42, .tries = 2, .args = { .data = "one\0two\0\0", .len = 9, .n = 3 } };
	struct pcore_job_place where = { .slot = 3, .node = "n1", .vars = more };
	struct pcore_template t = { .body = NULL };
	struct pcore_buf argv = PCORE_BUF_INIT(0);
	struct pcore_job_words w;

	(void)state;
	add(&argv, PCORE_WIRE_TEXT, 0, "sh");
	add(&argv, PCORE_WIRE_END, 0, NULL);
	add(&argv, PCORE_WIRE_END, 0, NULL);
	add(&argv, PCORE_WIRE_TEXT, 0, "x-");
	add(&argv, PCORE_WIRE_ARG, 0, NULL);
	add(&argv, PCORE_WIRE_TEXT, 0, "-");
	add(&argv, PCORE_WIRE_SEQ, 0, NULL);
	add(&argv, PCORE_WIRE_TEXT, 0, "-");
	add(&argv, PCORE_WIRE_SLOT, 0, NULL);
	add(&argv, PCORE_WIRE_TEXT, 0, "-");
	add(&argv, PCORE_WIRE_ARG, 0, NULL);
	add(&argv, PCORE_WIRE_END, 0, NULL);
	add(&argv, PCORE_WIRE_SPREAD, 1, NULL);
	add(&argv, PCORE_WIRE_END, 0, NULL);
	t.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_job_words(&w, &t, &e, &a, &where), 0);
	expect_words(w.argv, expected);
	expect_words(w.envp, vars);
	free(w.argv);
	a.seq = 0; /* a worker's process has no job, and a variable that says so */
	where.vars = NULL;
	assert_int_equal(pcore_job_words(&w, &t, &e, &a, &where), 0);
	assert_string_equal(w.envp[1], "PCORE_SLOT=3");
	free(w.argv);
	pcore_buf_done(&argv);
}

static void arguments_that_are_not_there_are_an_error(void **state)
{
	struct pcore_jobenv e = { .n = 0 };
	struct pcore_wire_assign a = { .args = { .data = "one", .len = 4, .n = 1 } };
	struct pcore_job_place where = { .slot = 1, .node = "n" };
	struct pcore_template t = { .body = NULL };
	struct pcore_buf argv = PCORE_BUF_INIT(0);
	struct pcore_job_words w;

	(void)state;
	add(&argv, PCORE_WIRE_ARG, 1, NULL);
	add(&argv, PCORE_WIRE_END, 0, NULL);
	t.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_job_words(&w, &t, &e, &a, &where), -EPROTO);
	pcore_buf_clear(&argv);
	add(&argv, PCORE_WIRE_SPREAD, 2, NULL);
	add(&argv, PCORE_WIRE_END, 0, NULL);
	t.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_job_words(&w, &t, &e, &a, &where), -EPROTO);
	pcore_buf_clear(&argv);
	assert_int_equal(pcore_argv_put_args(&argv), 0);
	t.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_job_words(&w, &t, &e, &a, &where), 0);
	assert_string_equal(w.argv[0], "one");
	assert_null(w.argv[1]);
	free(w.argv);
	a.args.n = 0; /* no command at all */
	assert_int_equal(pcore_job_words(&w, &t, &e, &a, &where), -EPROTO);
	pcore_buf_done(&argv);
}

/* ---- templates ---- */

static const struct {
	const char *words[8];
	unsigned flags;
} commands[] = {
	{ { "echo" }, 0 },
	{ { "echo", "x{}y", "{#}-{%}" }, 0 },
	{ { "{}", "{.}", "{/}" }, 0 },
	{ { "cp", "{}", "{//}/b/{/.}", "{%}" }, 0 },
	{ { "cp", "{}", "dir" }, 0 },
	{ { "echo", "{1}", "{2/}", "{-1}", "{9}", "{#}" }, CLI_TEMPLATE_NUMBERS },
	{ { "echo", "{1}", "{}", "{}" }, CLI_TEMPLATE_NUMBERS },
	{ { "echo", "it", "{%}" }, CLI_TEMPLATE_SHELL },
	{ { "echo {} {1}; echo", "{#}" }, CLI_TEMPLATE_SHELL | CLI_TEMPLATE_NUMBERS },
	{ { "", "{", "a{}b{}c" }, 0 },
};

/* What a node makes of a command and a job's arguments. */
static int run_elsewhere(const struct cli_template *t, bool many, const struct cli_template_args *args, char ***ret)
{
	struct pcore_buf pieces = PCORE_BUF_INIT(0), b = PCORE_BUF_INIT(0);
	struct pcore_wire_template m = { .has = 0 };
	struct pcore_wire_frame f = { .type = PCORE_WIRE_TEMPLATE };
	struct pcore_wire_out o;
	struct pcore_wire_in in;
	struct pcore_wire_assign a = { .seq = args->seq };
	struct pcore_job_place where = { .slot = args->slot, .node = "n" };
	struct pcore_jobenv e = { .n = 0 };
	struct pcore_job_words w;
	struct pcore_template node;
	char **arguments, **copy;
	size_t n = 0, len = 0;
	int r = cli_argv_put(&pieces, t, many);

	if (r < 0)
		return r;
	m.argv = (struct pcore_wire_argv){ pieces.data, pieces.len };
	assert_int_equal(pcore_wire_put_template(&b, &m), 0);
	f.body = b.data;
	f.len = b.len;
	assert_int_equal(pcore_template_read(&node, &f), 0);
	pcore_buf_clear(&b);
	assert_int_equal(cli_template_arguments(t, many, args, &arguments), 0);
	a.args.list = arguments;
	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_ASSIGN_N), 0);
	assert_int_equal(pcore_wire_add_assign(&o, &a), 0);
	assert_int_equal(pcore_wire_end(&o, false), 1);
	f = (struct pcore_wire_frame){ .type = PCORE_WIRE_ASSIGN_N, .body = b.data, .len = b.len };
	assert_int_equal(pcore_wire_open(&f, &in), 0);
	assert_true(pcore_wire_next_assign(&in, &a));
	assert_int_equal(pcore_job_words(&w, &node, &e, &a, &where), 0);
	for (; w.argv[n]; n++)
		len += strlen(w.argv[n]) + 1;
	copy = malloc((n + 1) * sizeof(*copy) + len); /* what they point to goes away */
	assert_non_null(copy);
	len = 0;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strcpy((char *)(copy + n + 1) + len, w.argv[i]);
		len += strlen(w.argv[i]) + 1;
	}
	copy[n] = NULL;
	*ret = copy;
	free(w.argv);
	free(arguments);
	pcore_template_done(&node);
	pcore_buf_done(&pieces);
	pcore_buf_done(&b);
	return 0;
}

static void expand_both(size_t i, bool many, const struct cli_template_args *args)
{
	struct cli_template *t;
	char **local, **elsewhere = NULL;
	size_t n = 0;
	int r;

	while (commands[i].words[n])
		n++;
	assert_int_equal(cli_template_new(&t, (char *const *)commands[i].words, n, commands[i].flags), 0);
	assert_int_equal(cli_template_expand(t, args, &local), 0);
	r = run_elsewhere(t, many, args, &elsewhere);
	assert_true(r == 0 || (r == -EOPNOTSUPP && many));
	if (r == 0)
		expect_words(elsewhere, (const char *const *)local);
	free(elsewhere);
	free(local);
	cli_template_free(t);
}

static void a_command_with_placeholders_is_the_same_on_a_node(void **state)
{
	static const struct cli_item items[] = { { "dir/it's.txt", 12 }, { "", 0 }, { "c d", 3 } };
	static const struct cli_item columns[] = { { "one", 3 }, { "two/2", 5 } };
	struct cli_template_args args = { .items = items, .n_items = 1, .columns = columns, .n_columns = 2, .seq = 42, .slot = 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		bool numbers = commands[i].flags & CLI_TEMPLATE_NUMBERS;

		args.columns = numbers ? columns : NULL;
		args.n_columns = numbers ? 2 : 0;
		args.n_items = 1;
		expand_both(i, false, &args);
		expand_both(i, true, &args);
		args.n_items = 3;
		expand_both(i, true, &args);
	}
}

static void several_words_of_many_items_are_told_to_be_too_many(void **state)
{
	static char *const twice[] = { (char *)"cp", (char *)"{}", (char *)"{.}" };
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct cli_template *t;

	(void)state;
	assert_int_equal(cli_template_new(&t, twice, 3, 0), 0);
	assert_int_equal(cli_argv_put(&b, t, true), -EOPNOTSUPP);
	assert_int_equal(b.len, 0);
	assert_int_equal(cli_argv_put(&b, t, false), 0);
	cli_template_free(t);
	pcore_buf_done(&b);
}

/* ---- results ---- */

static void send_result(const struct pcore_job_result *r, struct pcore_job_result *ret)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_done d;
	struct pcore_wire_frame f = { .type = PCORE_WIRE_DONE_N };
	struct pcore_wire_out o;
	struct pcore_wire_in in;

	pcore_done_of_result(&d, r);
	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_DONE_N), 0);
	assert_int_equal(pcore_wire_add_done(&o, &d), 0);
	assert_int_equal(pcore_wire_end(&o, false), 1);
	f.body = b.data;
	f.len = b.len;
	assert_int_equal(pcore_wire_open(&f, &in), 0);
	assert_true(pcore_wire_next_done(&in, &d));
	memset(ret, 0xff, sizeof(*ret));
	pcore_result_of_done(ret, &d);
	pcore_buf_done(&b);
}

static void a_result_comes_back_as_it_was(void **state)
{
	const struct pcore_job_result r = {
		.exit = { .code = CLD_DUMPED, .status = SIGSEGV, .usage = { .ru_utime = { 1, 2 }, .ru_stime = { 3, 999999 }, .ru_maxrss = 4,
			.ru_minflt = 5, .ru_majflt = 6, .ru_inblock = 7, .ru_oublock = 8, .ru_nvcsw = 9, .ru_nivcsw = 10 } },
		.timed_out = true, .start_ns = INT64_C(1795694400) * NS_PER_S, .wall_ns = 11, .pid = 12, .survivors = 13,
		.error = { .code = -EIO, .step = PCORE_STEP_READ, .subject = "" },
	};
	struct pcore_job_result got;

	(void)state;
	send_result(&r, &got);
	assert_memory_equal(&r.exit.usage, &got.exit.usage, sizeof(got.exit.usage));
	assert_int_equal(got.exit.code, CLD_DUMPED);
	assert_int_equal(got.exit.status, SIGSEGV);
	assert_true(got.timed_out && !got.cancelled && !got.lost);
	assert_true(got.start_ns == r.start_ns && got.wall_ns == 11);
	assert_int_equal(got.pid, 12);
	assert_int_equal(got.survivors, 13);
	assert_int_equal(got.error.code, -EIO);
	assert_int_equal(got.error.step, PCORE_STEP_READ);
}

static void each_step_that_can_fail_has_its_name(void **state)
{
	(void)state;
	for (int step = 0; step < PCORE_STEP_COUNT; step++) {
		struct pcore_job_result r = { .lost = step % 2, .cancelled = step % 3 == 0 }, got;

		(void)pcore_err_set(&r.error, -ENOENT, (enum pcore_step)step, "no such\tcommand");
		send_result(&r, &got);
		assert_int_equal(got.error.code, -ENOENT);
		assert_int_equal(got.error.step, step);
		assert_string_equal(got.error.subject, "no such\tcommand");
		assert_int_equal(got.lost, r.lost);
		assert_int_equal(got.cancelled, r.cancelled);
	}
}

/* ---- all of it ---- */

#define SHOW "pwd; umask; ulimit -n; nice; echo $A; grep NoNewPrivs /proc/self/status"

static void run_spec(struct run *r, const struct pcore_proc_spec *spec, const struct pcore_proc_times *times, char **argv, char **envp)
{
	run_init(r, "");
	r->spec = *spec;
	r->spec.argv = argv;
	r->spec.envp = envp;
	r->spec.fds = r->fds;
	r->times = *times;
	run_captured(r);
	run_start(r);
	run_finish(r);
	assert_int_equal(pcore_exit_status(&r->proc.exit), 0);
}

static void run_local(struct run *r, const struct pcore_sandbox *sandbox)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)SHOW, NULL };
	struct pcore_proc_times times = cli_job_times(&opts);
	struct pcore_proc_spec spec;
	size_t n = 0;
	char **env = cli_job_env(&opts, 0, &n);

	assert_non_null(env);
	cli_job_spec(&opts, &spec);
	spec.sandbox = sandbox;
	run_spec(r, &spec, &times, argv, env);
	free(env);
}

static void run_as_node(struct run *r)
{
	struct pcore_jobspec s;
	struct pcore_template t;
	struct pcore_jobenv e;
	struct pcore_buf argv = PCORE_BUF_INIT(0);
	struct pcore_wire_assign a = { .seq = 1, .tries = 1, .args = { .data = "sh\0-c\0" SHOW, .len = 6 + sizeof(SHOW), .n = 3 } };
	struct pcore_job_place where = { .slot = 1, .node = "n" };
	struct pcore_job_words w;
	struct pcore_sandbox *sandbox;
	char dir[PATH_MAX];

	assert_int_equal(cli_jobspec(&opts, true, dir, &s), CLI_GO);
	s.sandbox = (struct pcore_sandbox_spec){ .size = sizeof(s.sandbox), .no_new_privs = true };
	send_template(&s, &t);
	assert_int_equal(pcore_argv_put_args(&argv), 0);
	t.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	send_env(true, &e);
	assert_int_equal(pcore_job_words(&w, &t, &e, &a, &where), 0);
	assert_int_equal(pcore_sandbox_compile(&t.spec.sandbox, &sandbox, NULL), 0);
	t.spec.proc.sandbox = sandbox;
	run_spec(r, &t.spec.proc, &t.spec.times, w.argv, w.envp);
	pcore_sandbox_free(sandbox);
	free(w.argv);
	pcore_jobenv_done(&e);
	pcore_template_done(&t);
	pcore_buf_done(&argv);
}

static void a_job_that_came_as_a_message_runs_as_a_local_one(void **state)
{
	const struct pcore_sandbox_spec bare = { .size = sizeof(bare), .no_new_privs = true };
	static const char *const options[] = { "", "--chdir /tmp --umask 027 --limit nofile=64 --nice 3 --env A=x" };
	static struct run here, there;
	struct pcore_sandbox *sandbox;

	(void)state;
	assert_int_equal(pcore_sandbox_compile(&bare, &sandbox, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		parse(options[i]);
		run_local(&here, sandbox);
		run_as_node(&there);
		assert_string_equal(here.out[0].text, there.out[0].text);
		assert_string_equal(there.out[1].text, "");
	}
	assert_non_null(strstr(there.out[0].text, "/tmp\n0027\n64\n"));
	assert_non_null(strstr(there.out[0].text, "\nx\nNoNewPrivs:\t1\n"));
	pcore_sandbox_free(sandbox);
	cli_job_opts_done(&opts);
	cli_job_opts_init(&opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPTS_TEST(each_option_is_on_a_node_what_it_is_here),
		OPTS_TEST(all_options_together_are_kept_apart),
		OPTS_TEST(here_a_job_begins_where_we_are),
		OPTS_TEST(a_directory_whose_name_is_too_long_is_told),
		TEST(what_no_job_option_says_is_carried_too),
		TEST(a_sandbox_is_the_same_on_a_node),
		TEST(a_worker_is_the_same_on_a_node),
		OPTS_TEST(a_template_that_says_little_gets_the_defaults),
		OPTS_TEST(here_a_job_has_the_environment_of_a_local_one),
		OPTS_TEST(elsewhere_a_job_has_what_the_node_may_tell_and_what_is_set),
		TEST(pieces_arguments_and_numbers_become_words),
		TEST(arguments_that_are_not_there_are_an_error),
		TEST(a_command_with_placeholders_is_the_same_on_a_node),
		TEST(several_words_of_many_items_are_told_to_be_too_many),
		TEST(a_result_comes_back_as_it_was),
		TEST(each_step_that_can_fail_has_its_name),
		TREE_TEST(a_job_that_came_as_a_message_runs_as_a_local_one),
	};

	return RUN_TESTS(tests);
}
