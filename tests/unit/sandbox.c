/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c - tests of what a sandbox is compiled to, the filters run by a small interpreter.
 */
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/support.h"

#include "libcore/sandbox/sandbox.h"

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#define OTHER_ARCH AUDIT_ARCH_I386
#else
#define THIS_ARCH AUDIT_ARCH_AARCH64
#define OTHER_ARCH AUDIT_ARCH_ARM
#endif

#define DENIED(e) (SECCOMP_RET_ERRNO | (e))

/* As much of BPF as filters are made of. */
static unsigned run(const struct sock_fprog *f, const struct seccomp_data *data)
{
	unsigned a = 0;

	for (unsigned pc = 0; pc < f->len; pc++) {
		const struct sock_filter *i = &f->filter[pc];
		unsigned jump_true = i->jt, jump_false = i->jf;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)data + i->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? jump_true : jump_false;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? jump_true : jump_false;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? jump_true : jump_false;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("instruction %u is %x", pc, i->code);
		}
	}
	fail_msg("the filter has no end");
	return 0;
}

static unsigned judge(const struct pcore_sandbox *b, long nr, uint64_t arg0, uint64_t arg1)
{
	return run(&b->filter,
		&(struct seccomp_data){ .nr = (int)nr, .arch = THIS_ARCH, .args = { arg0, arg1 } });
}

static int compile(
	struct pcore_sandbox_spec spec, struct pcore_sandbox **ret, struct pcore_err *err)
{
	spec.size = sizeof(spec);
	return pcore_sandbox_compile(&spec, ret, err);
}

static struct pcore_sandbox *compiled(struct pcore_sandbox_spec spec)
{
	struct pcore_sandbox *b = NULL;
	struct pcore_err err;
	int r = compile(spec, &b, &err);

	if (r == -ENOSYS || r == -EOPNOTSUPP)
		skip(); /* no Landlock here */
	assert_int_equal(r, 0);
	return b;
}

static void capabilities_are_known_by_their_names(void **state)
{
	uint64_t set;

	(void)state;
	assert_int_equal(pcore_caps_parse("cap_net_raw,CHOWN", &set), 0);
	assert_true(set == (UINT64_C(1) << CAP_NET_RAW | UINT64_C(1) << CAP_CHOWN));
	assert_int_equal(pcore_caps_parse("all", &set), 0);
	assert_true(set == UINT64_MAX);
	assert_int_equal(pcore_caps_parse("", &set), -EINVAL);
	assert_int_equal(pcore_caps_parse("chown,", &set), -EINVAL);
	assert_int_equal(pcore_caps_parse("cap_", &set), -EINVAL);
	assert_int_equal(pcore_caps_parse("chow", &set), -EINVAL);
	for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
		assert_non_null(pcore_cap_name(i));
		assert_int_equal(pcore_caps_parse(pcore_cap_name(i), &set), 0);
		assert_true(set == UINT64_C(1) << i);
	}
	assert_null(pcore_cap_name(63));
}

static void no_sandbox_is_nothing(void **state)
{
	struct pcore_sandbox *b =
		compiled((struct pcore_sandbox_spec){ .level = PCORE_SANDBOX_NONE });

	(void)state;
	assert_int_equal(b->filter.len, 0);
	assert_false(b->set_caps || b->no_new_privs || b->no_core || b->child_namespaces ||
		     b->tree_namespaces);
	assert_int_equal(b->ruleset_fd, -EBADF);
	pcore_sandbox_free(b);
	pcore_sandbox_free(NULL);
}

static void the_default_filter_denies_its_list_only(void **state)
{
	struct pcore_sandbox *b =
		compiled((struct pcore_sandbox_spec){ .level = PCORE_SANDBOX_DEFAULT });

	(void)state;
	assert_int_equal(judge(b, SYS_mount, 0, 0), DENIED(EPERM));
	assert_int_equal(judge(b, 467, 0, 0), DENIED(EPERM)); /* open_tree_attr */
	assert_int_equal(judge(b, SYS_io_uring_setup, 0, 0), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_clone3, 0, 0), DENIED(ENOSYS));
	assert_int_equal(judge(b, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0), DENIED(EPERM));
	assert_int_equal(
		judge(b, SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_ioctl, 0, TIOCSTI | UINT64_C(1) << 40), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_ioctl, 0, TIOCGWINSZ), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_socket, AF_ALG | UINT64_C(1) << 33, 0), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_socket, AF_INET, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_fchown, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, 2000, 0, 0), SECCOMP_RET_ALLOW);
	pcore_sandbox_free(b);
}

static void io_uring_is_let_through_when_asked_for(void **state)
{
	struct pcore_sandbox *b = compiled((struct pcore_sandbox_spec){
		.level = PCORE_SANDBOX_DEFAULT, .allow_io_uring = true });

	(void)state;
	assert_int_equal(judge(b, SYS_io_uring_setup, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_mount, 0, 0), DENIED(EPERM));
	pcore_sandbox_free(b);
}

static void the_strict_filter_allows_its_list_only(void **state)
{
	struct pcore_sandbox *b =
		compiled((struct pcore_sandbox_spec){ .level = PCORE_SANDBOX_STRICT });

	(void)state;
	assert_int_equal(judge(b, SYS_read, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_execve, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_mount, 0, 0), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_fchown, 0, 0), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_socket, AF_UNIX, 0), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_clone3, 0, 0), DENIED(ENOSYS));
	assert_int_equal(judge(b, SYS_clone, CLONE_NEWNET, 0), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_clone, SIGCHLD, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_ioctl, 0, TIOCLINUX), DENIED(EPERM));
	assert_int_equal(judge(b, SYS_ioctl, 0, TIOCGWINSZ), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_quotactl, 0, 0), DENIED(ENOSYS));
	assert_int_equal(judge(b, 2000, 0, 0), DENIED(ENOSYS));
	pcore_sandbox_free(b);
}

static void the_network_is_let_through_when_asked_for(void **state)
{
	struct pcore_sandbox *b = compiled(
		(struct pcore_sandbox_spec){ .level = PCORE_SANDBOX_STRICT, .allow_net = true });

	(void)state;
	assert_int_equal(judge(b, SYS_socket, AF_INET, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(b, SYS_socket, AF_PACKET, 0), DENIED(EPERM));
	assert_false(b->tree_namespaces & CLONE_NEWNET);
	pcore_sandbox_free(b);
}

static void other_architectures_are_killed(void **state)
{
	const bool on[] = { false, true };

	(void)state;
	for (int level = PCORE_SANDBOX_DEFAULT; level <= PCORE_SANDBOX_STRICT; level++)
		for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
			struct pcore_sandbox *b = compiled((struct pcore_sandbox_spec){
				.level = (enum pcore_sandbox_level)level,
				.allow_io_uring = on[i] });

			assert_int_equal(run(&b->filter, &(struct seccomp_data){ .nr = 20,
								 .arch = OTHER_ARCH }),
				SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
			assert_int_equal(
				judge(b, 0x40000000 | SYS_getpid, 0, 0), SECCOMP_RET_KILL_PROCESS);
#endif
			pcore_sandbox_free(b);
		}
}

static void a_capability_that_is_not_there_cannot_be_kept(void **state)
{
	struct pcore_sandbox *b;
	struct pcore_err err;

	(void)state;
	assert_int_equal(compile((struct pcore_sandbox_spec){ .level = PCORE_SANDBOX_DEFAULT,
					 .keep_caps = UINT64_C(1) << 62 },
				 &b, &err),
		-EPERM);
	assert_int_equal(err.step, PCORE_STEP_CAPS);
	assert_string_equal(err.subject, "62");
}

static void a_path_that_is_not_there_is_an_error(void **state)
{
	const char *const paths[] = { "/no/such/path" };
	struct pcore_sandbox *b;
	struct pcore_err err;

	(void)state;
	assert_int_equal(compile(
				 (struct pcore_sandbox_spec){
					 .level = PCORE_SANDBOX_STRICT, .ro = paths, .n_ro = 1 },
				 &b, &err),
		-ENOENT);
	assert_int_equal(err.step, PCORE_STEP_OPEN);
	assert_string_equal(err.subject, "/no/such/path");
}

static const struct pcore_sandbox_path *path_of(const struct pcore_sandbox *b, const char *path)
{
	for (size_t i = 0; i < b->n_paths; i++)
		if (strcmp(b->paths[i].path, path) == 0)
			return &b->paths[i];
	fail_msg("'%s' is not among the paths", path);
	return NULL;
}

static void paths_below_new_file_systems_are_put_back(void **state)
{
	char dir[] = "/tmp/pcore-sandbox.XXXXXX", sub[64];
	const char *const ro[] = { sub, "/var", "/usr/lib/.." }, *const rw[] = { dir };
	const struct pcore_sandbox_path *p;
	struct pcore_sandbox *b;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sub, sizeof(sub), "%s/sub", dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	b = compiled((struct pcore_sandbox_spec){
		.level = PCORE_SANDBOX_STRICT, .ro = ro, .n_ro = 3, .rw = rw, .n_rw = 1 });
	p = path_of(b, dir);
	assert_true(p->writable && p->hidden && p->remount && p->directory);
	assert_ptr_equal(path_of(b, sub), p + 1); /* what contains it first */
	assert_true(!p[1].writable && p[1].hidden && p[1].remount);
	p = path_of(b, "/var");
	assert_true(!p->writable && !p->hidden && !p->remount);
	(void)path_of(b, "/usr");
	pcore_sandbox_free(b);
	rmdir(sub);
	rmdir(dir);
}

static void the_working_directory_is_entered_again_where_it_is_covered(void **state)
{
	char cwd[4096];
	struct pcore_sandbox *b;

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir("/"), 0);
	b = compiled((struct pcore_sandbox_spec){ .private_tmp = true });
	assert_null(b->cwd);
	pcore_sandbox_free(b);
	assert_int_equal(chdir("/tmp"), 0);
	b = compiled((struct pcore_sandbox_spec){ .private_tmp = true });
	assert_string_equal(b->cwd, "/tmp");
	assert_false(b->cwd_hidden);
	pcore_sandbox_free(b);
	assert_int_equal(chdir(cwd), 0);
}

static void what_is_in_force_is_told(void **state)
{
	struct pcore_sandbox *b =
		compiled((struct pcore_sandbox_spec){ .level = PCORE_SANDBOX_DEFAULT });
	struct pcore_buf text = PCORE_BUF_INIT(0), json = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(pcore_sandbox_describe(b, &text), 0);
	assert_int_equal(pcore_buf_terminate(&text), 0);
	assert_non_null(strstr(
		text.data, "sandbox: default\nno new privileges: yes\ncapabilities: none\n"));
	assert_int_equal(pcore_sandbox_describe_json(b, &json), 0);
	assert_int_equal(pcore_buf_terminate(&json), 0);
	assert_non_null(strstr(json.data,
		"{\"sandbox\":\"default\",\"no_new_privileges\":true,\"capabilities\":[],"));
	pcore_buf_done(&text);
	pcore_buf_done(&json);
	pcore_sandbox_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(capabilities_are_known_by_their_names),
		TEST(no_sandbox_is_nothing),
		TEST(the_default_filter_denies_its_list_only),
		TEST(io_uring_is_let_through_when_asked_for),
		TEST(the_strict_filter_allows_its_list_only),
		TEST(the_network_is_let_through_when_asked_for),
		TEST(other_architectures_are_killed),
		TEST(a_capability_that_is_not_there_cannot_be_kept),
		TEST(a_path_that_is_not_there_is_an_error),
		TEST(paths_below_new_file_systems_are_put_back),
		TEST(the_working_directory_is_entered_again_where_it_is_covered),
		TEST(what_is_in_force_is_told),
	};

	return RUN_TESTS(tests);
}
