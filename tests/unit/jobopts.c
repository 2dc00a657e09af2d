/* SPDX-License-Identifier: MIT */
/*
 * jobopts.c - tests of the options that say how a command is run.
 */
#include "tools/cli/jobopts.h"

#include "tests/unit/capture.h"
#include "tests/unit/support.h"

static struct cli_job_opts opts;
static const char *message = "";

/* Parse blank-separated words of a copy that lives on. */
static int parse(const char *line)
{
	static char copy[512];
	static char *argv[32];
	static const struct cli_opt *const tables[] = { cli_job_place_table, cli_job_bounds_table,
		cli_job_time_table, NULL };
	static void *const targets[] = { &opts, &opts, &opts };
	struct cli_opts o = {
		.usage = "test", .summary = "A test.", .tables = tables, .targets = targets
	};
	int argc = 1, operand = 0, r;

	cli_job_opts_done(&opts);
	cli_job_opts_init(&opts);
	snprintf(copy, sizeof(copy), "test %s", line);
	argv[0] = strtok(copy, " ");
	while (argc < 31 && (argv[argc] = strtok(NULL, " ")))
		argc++;
	capture_begin(STDERR_FILENO);
	r = cli_opts_parse(&o, argc, argv, &operand);
	message = capture_end();
	return r;
}

static int before(void **state)
{
	cli_job_opts_init(&opts);
	return support_before(state);
}

static int after(void **state)
{
	cli_job_opts_done(&opts);
	return support_after(state);
}

#define OPTS_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static void expect_refused(const char *line, const char *option, const char *value)
{
	assert_int_equal(parse(line), CLI_FAILURE);
	assert_non_null(strstr(message, option));
	assert_non_null(strstr(message, value));
}

static void the_defaults_are_those_of_the_manual(void **state)
{
	struct pcore_proc_times t;

	(void)state;
	assert_int_equal(parse(""), CLI_GO);
	t = cli_job_times(&opts);
	assert_int_equal(t.timeout, INT64_MAX);
	assert_int_equal(t.signal, SIGTERM);
	assert_int_equal(t.kill_after, 2 * NS_PER_S);
	assert_int_equal(t.linger, 100 * NS_PER_MS);
	assert_false(t.leave);
	assert_int_equal(opts.retry, 0);
	assert_int_equal(opts.retry_delay, NS_PER_S);
}

static void times_are_read_and_0_is_no_limit(void **state)
{
	struct pcore_proc_times t;

	(void)state;
	assert_int_equal(parse("--timeout 1.5 --signal int --kill-after 10ms --linger 0 --leave "
			       "--retry 3 --retry-delay 2m"),
		CLI_GO);
	t = cli_job_times(&opts);
	assert_int_equal(t.timeout, 1500 * NS_PER_MS);
	assert_int_equal(t.signal, SIGINT);
	assert_int_equal(t.kill_after, 10 * NS_PER_MS);
	assert_int_equal(t.linger, 0);
	assert_true(t.leave);
	assert_int_equal(opts.retry, 3);
	assert_int_equal(opts.retry_delay, 120 * NS_PER_S);
	assert_int_equal(parse("--timeout 0"), CLI_GO);
	assert_int_equal(cli_job_times(&opts).timeout, INT64_MAX);
	assert_int_equal(parse("--timeout inf"), CLI_GO);
	assert_int_equal(cli_job_times(&opts).timeout, INT64_MAX);
	expect_refused("--timeout -1", "timeout", "-1");
	expect_refused("--timeout nan", "timeout", "nan");
	expect_refused("--timeout 5x", "timeout", "5x");
	expect_refused("--signal NOSUCH", "signal", "NOSUCH");
	expect_refused("--retry 1.5", "retry", "1.5");
}

static void a_limit_has_a_soft_and_a_hard_value(void **state)
{
	(void)state;
	assert_int_equal(parse("--limit nofile=64 --limit as=1G:2G --limit core=0:unlimited "
			       "--limit cpu=inf"),
		CLI_GO);
	assert_int_equal(opts.n_limits, 4);
	assert_int_equal(opts.limits[0].resource, RLIMIT_NOFILE);
	assert_int_equal(opts.limits[0].limit.rlim_cur, 64);
	assert_int_equal(opts.limits[0].limit.rlim_max, 64);
	assert_int_equal(opts.limits[1].limit.rlim_cur, 1 << 30);
	assert_int_equal(opts.limits[1].limit.rlim_max, 1L << 31);
	assert_int_equal(opts.limits[2].limit.rlim_cur, 0);
	assert_true(opts.limits[2].limit.rlim_max == RLIM_INFINITY);
	assert_true(opts.limits[3].limit.rlim_cur == RLIM_INFINITY);
}

static void the_last_limit_of_a_name_holds(void **state)
{
	(void)state;
	assert_int_equal(parse("--limit nofile=64 --limit nofile=32:48"), CLI_GO);
	assert_int_equal(opts.n_limits, 1);
	assert_int_equal(opts.limits[0].limit.rlim_cur, 32);
	assert_int_equal(opts.limits[0].limit.rlim_max, 48);
}

static void every_limit_can_be_set_at_once(void **state)
{
	char line[500] = "";

	(void)state;
	for (int i = 0; i < PCORE_PROC_LIMITS_MAX; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "--limit=%s=1 ",
			pcore_limit_name(i));
	assert_int_equal(parse(line), CLI_GO);
	assert_int_equal(opts.n_limits, PCORE_PROC_LIMITS_MAX);
}

static void a_wrong_limit_is_refused(void **state)
{
	static const char *const wrong[] = { "nofile", "nofile=", "=5", "nofiles=5", "nofile=5K",
		"nofile=-1", "as=5X", "nofile=5:4", "nofile=5:", "nofile=5:6:7",
		"nofile=unlimited:5" };
	char line[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(line, sizeof(line), "--limit %s", wrong[i]);
		expect_refused(line, "limit", wrong[i]);
	}
}

static void nice_umask_and_affinity_are_checked_whole(void **state)
{
	static const char *const wrong[] = { "--nice 20", "--nice -21", "--nice x", "--nice 1.5",
		"--umask 8", "--umask 1000", "--umask 00022", "--umask u=rwx", "--affinity x",
		"--affinity 1-", "--affinity -1", "--affinity 2-1", "--affinity 0,",
		"--affinity ,0", "--affinity 99999", "--affinity 0-1-2" };
	struct pcore_proc_spec spec;

	(void)state;
	assert_int_equal(parse("--nice -5 --umask 027 --affinity 0,2-4"), CLI_GO);
	cli_job_spec(&opts, &spec);
	assert_int_equal(spec.nice, -5);
	assert_true(spec.set_umask);
	assert_int_equal(spec.umask, 027);
	assert_int_equal(CPU_COUNT(spec.affinity), 4);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(!!CPU_ISSET(i, spec.affinity), i != 1);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		expect_refused(wrong[i], "invalid value", strchr(wrong[i], ' ') + 1);
}

static void a_spec_says_nothing_that_was_not_asked_for(void **state)
{
	struct pcore_proc_spec spec;

	(void)state;
	assert_int_equal(parse(""), CLI_GO);
	cli_job_spec(&opts, &spec);
	assert_int_equal(spec.size, sizeof(spec));
	assert_null(spec.chdir);
	assert_null(spec.affinity);
	assert_false(spec.set_umask);
	assert_int_equal(spec.n_limits, 0);
	assert_int_equal(spec.nice, 0);
	assert_int_equal(spec.keep_ignored, 0);
	assert_int_equal(parse("--chdir /usr"), CLI_GO);
	cli_job_spec(&opts, &spec);
	assert_string_equal(spec.chdir, "/usr");
}

static void hup_int_and_quit_stay_ignored_if_they_were(void **state)
{
	struct pcore_proc_spec spec;

	(void)state;
	sigemptyset(&cli_inherited.ignored);
	sigaddset(&cli_inherited.ignored, SIGHUP);
	sigaddset(&cli_inherited.ignored, SIGQUIT);
	cli_job_spec(&opts, &spec);
	sigemptyset(&cli_inherited.ignored);
	assert_int_equal(spec.keep_ignored, 1 << (SIGHUP - 1) | 1 << (SIGQUIT - 1));
}

/* ---- the environment ---- */

static char **env;
static size_t env_n;

static const char *get(const char *name)
{
	const char *found = NULL;
	size_t len = strlen(name);

	for (size_t i = 0; i < env_n; i++) {
		if (strncmp(env[i], name, len) != 0 || env[i][len] != '=')
			continue;
		assert_null(found); /* once */
		found = env[i] + len + 1;
	}
	return found;
}

static void make_env(const char *line)
{
	assert_int_equal(parse(line), CLI_GO);
	env = cli_job_env(&opts, 2, &env_n);
	assert_non_null(env);
	assert_null(env[env_n]);
}

static void variables_are_set_and_removed(void **state)
{
	size_t all = 0;

	(void)state;
	setenv("PCORE_TEST_A", "ours", 1);
	setenv("PCORE_TEST_AB", "other", 1);
	while (environ[all])
		all++;
	make_env("");
	assert_int_equal(env_n, all);
	assert_string_equal(get("PCORE_TEST_A"), "ours");
	free(env);
	make_env("--env PCORE_TEST_A=theirs --env NEW= --env EQ=a=b --unset PCORE_TEST_AB --unset "
		 "NONE");
	assert_string_equal(get("PCORE_TEST_A"), "theirs");
	assert_null(get("PCORE_TEST_AB"));
	assert_string_equal(get("NEW"), "");
	assert_string_equal(get("EQ"), "a=b");
	assert_int_equal(env_n, all + 1);
	free(env);
	make_env("--env PCORE_TEST_A=1 --env PCORE_TEST_A=2 --unset PCORE_TEST_A");
	assert_string_equal(get("PCORE_TEST_A"), "2");
	free(env);
	unsetenv("PCORE_TEST_A");
	unsetenv("PCORE_TEST_AB");
}

static void a_clean_environment_holds_only_what_is_set(void **state)
{
	static char extra[] = "EXTRA=1";

	(void)state;
	make_env("--env A=1 --clean-env");
	assert_int_equal(env_n, 1);
	assert_string_equal(env[0], "A=1");
	env[1] = extra; /* there is room for two */
	env[2] = extra;
	env[3] = NULL;
	free(env);
	make_env("--clean-env");
	assert_int_equal(env_n, 0);
	free(env);
}

static void a_wrong_variable_is_refused(void **state)
{
	(void)state;
	expect_refused("--env A", "env", "A");
	expect_refused("--env =1", "env", "=1");
	expect_refused("--unset A=1", "unset", "A=1");
	expect_refused("--unset=", "unset", "''");
}

/* ---- the loop ---- */

static int loop_named(const char *name, enum pcore_loop_backend preferred, char got[static 16])
{
	const char *old = getenv("PCORE_LOOP");
	char saved[16];
	struct pcore_loop *lp = NULL;
	int r;

	snprintf(saved, sizeof(saved), "%s", old ? old : "");
	if (name)
		setenv("PCORE_LOOP", name, 1);
	else
		unsetenv("PCORE_LOOP");
	capture_begin(STDERR_FILENO);
	r = cli_loop_new(&lp, preferred);
	message = capture_end();
	if (r == CLI_GO)
		snprintf(got, 16, "%s", pcore_loop_name(lp));
	pcore_loop_free(lp);
	if (old)
		setenv("PCORE_LOOP", saved, 1);
	else
		unsetenv("PCORE_LOOP");
	return r;
}

static void the_loop_is_the_one_that_is_asked_for(void **state)
{
	char got[16] = "";

	(void)state;
	assert_int_equal(loop_named("epoll", PCORE_LOOP_AUTO, got), CLI_GO);
	assert_string_equal(got, "epoll");
	assert_int_equal(loop_named(NULL, PCORE_LOOP_EPOLL, got), CLI_GO);
	assert_string_equal(got, "epoll");
	assert_int_equal(loop_named("", PCORE_LOOP_AUTO, got), CLI_GO);
	assert_int_equal(loop_named("kqueue", PCORE_LOOP_AUTO, got), CLI_FAILURE);
	assert_string_equal(
		message, "pcore: invalid value 'kqueue' of PCORE_LOOP: must be uring or epoll\n");
	if (loop_named("uring", PCORE_LOOP_EPOLL, got) == CLI_GO)
		assert_string_equal(got, "uring");
	else
		assert_non_null(strstr(message, "cannot start the event loop 'uring': "));
}

static const struct CMUnitTest tests[] = {
	OPTS_TEST(the_defaults_are_those_of_the_manual),
	OPTS_TEST(times_are_read_and_0_is_no_limit),
	OPTS_TEST(a_limit_has_a_soft_and_a_hard_value),
	OPTS_TEST(the_last_limit_of_a_name_holds),
	OPTS_TEST(every_limit_can_be_set_at_once),
	OPTS_TEST(a_wrong_limit_is_refused),
	OPTS_TEST(nice_umask_and_affinity_are_checked_whole),
	OPTS_TEST(a_spec_says_nothing_that_was_not_asked_for),
	OPTS_TEST(hup_int_and_quit_stay_ignored_if_they_were),
	OPTS_TEST(variables_are_set_and_removed),
	OPTS_TEST(a_clean_environment_holds_only_what_is_set),
	OPTS_TEST(a_wrong_variable_is_refused),
	OPTS_TEST(the_loop_is_the_one_that_is_asked_for),
};

int main(void)
{
	return RUN_TESTS(tests);
}
