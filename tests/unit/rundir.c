/* SPDX-License-Identifier: MIT */
/*
 * rundir.c - tests of tools/cli/rundir.c.
 *
 * The module remembers where the directory is, so each question is asked in a child of its own.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "tests/unit/support.h"
#include "tools/cli/rundir.h"

enum { NOBODY = 65534 };

static char base[] = "/tmp/pcore-rundir.XXXXXX";

struct answer {
	char path[8192];
	char message[sizeof(capture.text)];
	int fd; /* whether one came, or -errno */
};

struct question {
	const char *own, *xdg, *tmp; /* NULL: not set */
	const char *sub;             /* open it, too */
	uid_t uid;
};

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void answer(const struct question *q, struct answer *a)
{
	set("PCORE_RUNTIME_DIR", q->own);
	set("XDG_RUNTIME_DIR", q->xdg);
	set("TMPDIR", q->tmp);
	if (q->uid)
		(void)!seteuid(q->uid);
	snprintf(a->path, sizeof(a->path), "%s", cli_rundir_path());
	if (!q->sub)
		return;
	capture_begin(STDERR_FILENO);
	a->fd = cli_rundir_open(q->sub);
	snprintf(a->message, sizeof(a->message), "%s", capture_end());
}

static const struct answer *ask(struct question q)
{
	static struct answer got;
	struct answer *shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_true(shared != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		answer(&q, shared);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	got = *shared;
	munmap(shared, sizeof(*shared));
	return &got;
}

static char *below(char buf[static 64], const char *name)
{
	snprintf(buf, 64, "%s/%s", base, name);
	return buf;
}

static void names_are_checked(void **state)
{
	static const char *const good[] = { "a", "0", "Z9", "a.b-c_d", "9..", "a-" };
	static const char *const bad[] = { "", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n",
		"\xc3\xa4", "a:", "a\x1b" };
	char name[66];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(cli_is_name(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(cli_is_name(bad[i]));
	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	assert_true(cli_is_name(name));
	name[64] = 'x';
	name[65] = '\0';
	assert_false(cli_is_name(name));
}

static void pcore_runtime_dir_comes_first(void **state)
{
	char own[64], xdg[64];

	(void)state;
	below(xdg, "xdg");
	assert_string_equal(
		ask((struct question){ .own = below(own, "own"), .xdg = xdg })->path, own);
	if (geteuid() == 0)
		assert_string_equal(
			ask((struct question){ .own = "", .xdg = xdg, .tmp = base })->path,
			"/run/pcore");
}

static void an_ordinary_user_follows_xdg_then_tmpdir(void **state)
{
	char xdg[64], open_dir[64], want[80];

	(void)state;
	if (geteuid() != 0 || access("/run/user/65534", F_OK) == 0)
		skip();
	assert_int_equal(mkdir(below(xdg, "xdg"), 0700), 0);
	assert_int_equal(chown(xdg, NOBODY, NOBODY), 0);
	assert_int_equal(mkdir(below(open_dir, "open"), 0755), 0);
	assert_int_equal(chown(open_dir, NOBODY, NOBODY), 0);
	snprintf(want, sizeof(want), "%s/pcore", xdg);
	assert_string_equal(
		ask((struct question){ .uid = NOBODY, .xdg = xdg, .tmp = base })->path, want);
	snprintf(want, sizeof(want), "%s/pcore-65534", base);
	assert_string_equal(
		ask((struct question){ .uid = NOBODY, .xdg = open_dir, .tmp = base })->path, want);
	assert_string_equal(
		ask((struct question){ .uid = NOBODY, .xdg = "", .tmp = base })->path, want);
	assert_string_equal(
		ask((struct question){ .uid = NOBODY, .tmp = "" })->path, "/tmp/pcore-65534");
	rmdir(xdg);
	rmdir(open_dir);
}

static void it_is_made_closed_to_others(void **state)
{
	char own[64], sub[64];
	const struct answer *a;
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	a = ask((struct question){ .own = below(own, "own"), .sub = "jobs" });
	umask(old);
	assert_true(a->fd >= 0);
	assert_string_equal(a->message, "");
	assert_int_equal(lstat(own, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(lstat(below(sub, "own/jobs"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(ask((struct question){ .own = own, .sub = "jobs" })->fd >= 0);
	rmdir(sub);
	rmdir(own);
}

/* The message names the directory between these words. */
static void refused(const char *own, int error, const char *before, const char *after)
{
	const struct answer *a = ask((struct question){ .own = own, .sub = "jobs" });
	char want[256];

	snprintf(want, sizeof(want), "pcore: %s the runtime directory '%s': %s\n", before, own,
		after);
	assert_int_equal(a->fd, error);
	assert_string_equal(a->message, want);
}

static void not_ours(const char *own)
{
	refused(own, -EPERM, "will not use", "it must be ours and closed to others (mode 0700)");
}

static void what_is_not_ours_alone_is_refused(void **state)
{
	char own[64], sub[64];

	(void)state;
	assert_int_equal(mkdir(below(own, "own"), 0700), 0);
	for (mode_t bit = 1; bit < 0100; bit <<= 1) {
		assert_int_equal(chmod(own, 0700 | bit), 0);
		not_ours(own);
	}
	assert_int_equal(chmod(own, 0700), 0);
	assert_int_equal(mkdir(below(sub, "own/jobs"), 0755), 0);
	not_ours(own);
	rmdir(sub);
	if (geteuid() == 0) {
		assert_int_equal(chown(own, NOBODY, NOBODY), 0);
		not_ours(own);
	}
	rmdir(own);
}

static void links_and_files_are_refused(void **state)
{
	char real[64], own[64];

	(void)state;
	assert_int_equal(mkdir(below(real, "real"), 0700), 0);
	assert_int_equal(symlink(real, below(own, "own")), 0);
	refused(own, -ENOTDIR, "cannot open", "Not a directory");
	assert_int_equal(unlink(own), 0);
	assert_int_equal(close(creat(own, 0600)), 0);
	refused(own, -ENOTDIR, "cannot open", "Not a directory");
	assert_int_equal(unlink(own), 0);
	rmdir(real);
	refused(below(own, "no/dir"), -ENOENT, "cannot open", "No such file or directory");
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	char tmp[5000];
	const struct answer *a;

	(void)state;
	memset(tmp, 'x', sizeof(tmp));
	tmp[0] = '/';
	tmp[sizeof(tmp) - 1] = '\0';
	a = ask((struct question){
		.own = tmp, .tmp = tmp, .uid = geteuid() == 0 ? NOBODY : 0, .sub = "jobs" });
	assert_true(strlen(a->path) < 4096);
	if (access("/run/user/65534", F_OK) != 0)
		assert_true(a->fd < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_checked),
		TEST(pcore_runtime_dir_comes_first),
		TEST(an_ordinary_user_follows_xdg_then_tmpdir),
		TEST(it_is_made_closed_to_others),
		TEST(what_is_not_ours_alone_is_refused),
		TEST(links_and_files_are_refused),
		TEST(a_path_that_is_too_long_is_refused),
	};
	int r;

	if (!mkdtemp(base) || chmod(base, 0755) < 0)
		return 99;
	r = RUN_TESTS(tests);
	(void)rmdir(base);
	return r;
}
