/* SPDX-License-Identifier: MIT */
/*
 * net_key.c - tests of key files: what they say, what is refused and why, and that no secret stays behind.
 */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/net/private.h"

#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static char dir[] = "/tmp/pcore-net_key.XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/key", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void put(const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

/* Load what is at path, which is removed. */
static int load(struct pcore_net_keys **ret, struct pcore_net_error *e)
{
	int r;

	*e = (struct pcore_net_error){ 0 };
	r = pcore_net_keys_load(ret, path, e);
	assert_int_equal(r, e->code);
	assert_int_equal(unlink(path), 0);
	return r;
}

static void expect_refused(const char *text, int code, const char *why)
{
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	put(text, strlen(text), 0600);
	assert_int_equal(load(&keys, &e), code);
	assert_string_equal(e.why, why);
}

/* ---- what it says ---- */

static void all_keys_are_read_in_order(void **state)
{
	static const char text[] = "# ours\n\nk2:client,node:" SECRET "\nk1:all:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
	struct pcore_net_keys *keys;
	struct pcore_net_error e;
	const struct net_key *key;

	(void)state;
	put(text, sizeof(text) - 1, 0400);
	assert_int_equal(load(&keys, &e), 0);
	assert_int_equal(pcore_net_keys_count(keys), 2);
	key = net_key_for(keys, PCORE_NET_NODE);
	assert_string_equal(key->kid, "k2");
	for (unsigned i = 0; i < NET_SECRET; i++)
		assert_int_equal(key->secret[i], i);
	key = net_key_for(keys, PCORE_NET_ADMIN);
	assert_string_equal(key->kid, "k1");
	assert_int_equal(key->secret[0], 32);
	assert_ptr_equal(net_key_find(keys, "k1"), key);
	assert_null(net_key_find(keys, "k"));
	pcore_net_keys_free(keys);
}

static void bad_lines_are_told_with_their_number(void **state)
{
	(void)state;
	expect_refused("", -ENODATA, "there is no key in it");
	expect_refused("# nothing\n\n", -ENODATA, "there is no key in it");
	expect_refused("k\n", -EBADMSG, "line 1: it is not of the form kid:roles:base64");
	expect_refused("\n\nk:all\n", -EBADMSG, "line 3: it is not of the form kid:roles:base64");
	expect_refused(":all:" SECRET, -EBADMSG, "line 1: the key's name is not 1 to 32 letters, digits, '.', '_' or '-'");
	expect_refused("a b:all:" SECRET, -EBADMSG, "line 1: the key's name is not 1 to 32 letters, digits, '.', '_' or '-'");
	expect_refused("aaaaaaaaaabbbbbbbbbbccccccccccddd:all:" SECRET, -EBADMSG,
		"line 1: the key's name is not 1 to 32 letters, digits, '.', '_' or '-'");
	expect_refused("k::" SECRET, -EBADMSG, "line 1: the roles are not 'all' or some of client, node, scheduler and admin");
	expect_refused("k:all,node:" SECRET, -EBADMSG, "line 1: the roles are not 'all' or some of client, node, scheduler and admin");
	expect_refused("k:node,:" SECRET, -EBADMSG, "line 1: the roles are not 'all' or some of client, node, scheduler and admin");
	expect_refused("k:root:" SECRET, -EBADMSG, "line 1: the roles are not 'all' or some of client, node, scheduler and admin");
	expect_refused("k:all:" SECRET "\nk:all:" SECRET, -EBADMSG, "line 2: a key of this name is there already");
	expect_refused("k:all:" SECRET "\r\n", -EBADMSG, "line 1: the key is not in base64");
	expect_refused("k:all: " SECRET, -EBADMSG, "line 1: the key is not in base64");
	expect_refused("k:all:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", -EBADMSG, "line 1: the key is not in base64");
	expect_refused("k:all:AAE=AwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", -EBADMSG, "line 1: the key is not in base64");
	expect_refused("k:all:", -EBADMSG, "line 1: the key has 0 bytes, not 32");
	expect_refused("k:all:AAECAwQFBgcICQoLDA0ODw==", -EBADMSG, "line 1: the key has 16 bytes, not 32");
	expect_refused("k:all:" "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIj", -EBADMSG, "line 1: the key has 36 bytes, not 32");
}

static void a_nul_is_refused(void **state)
{
	static const char text[] = "k:all:" SECRET "\0\n";
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	put(text, sizeof(text) - 1, 0600);
	assert_int_equal(load(&keys, &e), -EBADMSG);
	assert_string_equal(e.why, "line 1: there is a NUL in it");
}

static void sixteen_keys_are_enough(void **state)
{
	char text[17 * 64] = "";
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	for (int i = 0; i < 16; i++)
		snprintf(text + strlen(text), 64, "k%d:all:%s\n", i, SECRET);
	put(text, strlen(text), 0600);
	assert_int_equal(load(&keys, &e), 0);
	assert_int_equal(pcore_net_keys_count(keys), 16);
	pcore_net_keys_free(keys);
	snprintf(text + strlen(text), 64, "k16:all:%s\n", SECRET);
	put(text, strlen(text), 0600);
	assert_int_equal(load(&keys, &e), -EBADMSG);
	assert_string_equal(e.why, "line 17: these are too many keys, 16 are allowed");
}

/* ---- the file ---- */

static void a_file_that_others_can_access_is_refused_with_a_hint(void **state)
{
	static const mode_t modes[] = { 0644, 0640, 0604, 0610, 0601, 0622, 0666 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct pcore_net_keys *keys;
		struct pcore_net_error e;
		char why[200];

		put("k:all:" SECRET, 50, modes[i]);
		snprintf(why, sizeof(why), "others can access it (mode %04o): chmod 600 '%s'", modes[i], path);
		assert_int_equal(load(&keys, &e), -EPERM);
		assert_string_equal(e.why, why);
	}
}

static void a_symbolic_link_is_refused(void **state)
{
	char target[80];
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	put("k:all:" SECRET, 50, 0600);
	snprintf(target, sizeof(target), "%s/real", dir);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink("real", path), 0);
	assert_int_equal(load(&keys, &e), -ELOOP);
	assert_string_equal(e.why, "it is a symbolic link");
	assert_int_equal(unlink(target), 0);
}

static void what_is_no_file_is_refused(void **state)
{
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	assert_int_equal(pcore_net_keys_load(&keys, dir, &e), -EINVAL);
	assert_string_equal(e.why, "it is not a regular file");
	assert_int_equal(pcore_net_keys_load(&keys, "/dev/zero", &e), -EINVAL);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load(&keys, &e), -EINVAL); /* and does not wait for a writer */
	assert_int_equal(pcore_net_keys_load(&keys, path, &e), -ENOENT);
	assert_string_equal(e.why, "No such file or directory");
}

static void a_file_of_somebody_else_is_refused(void **state)
{
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	if (geteuid() != 0)
		skip(); /* needs root, to give a file away */
	put("k:all:" SECRET, 50, 0600);
	assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
	assert_int_equal(load(&keys, &e), -EPERM);
	assert_string_equal(e.why, "it belongs to user 12345, neither to us nor to root");
}

static void a_huge_file_is_not_read(void **state)
{
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	put("", 0, 0600);
	assert_int_equal(truncate(path, 1 << 30), 0);
	assert_int_equal(load(&keys, &e), -EFBIG);
}

/* ---- secrets ---- */

static void the_text_is_wiped(void **state)
{
	static const char line[] = "k:all:" SECRET;
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	for (int bad = 0; bad < 2; bad++) {
		char text[sizeof(line)];

		memcpy(text, line, sizeof(line));
		if (bad)
			text[10] = '!';
		assert_int_equal(pcore_net_keys_parse(&keys, text, sizeof(line) - 1, &e), bad ? -EBADMSG : 0);
		for (size_t i = 0; i < sizeof(text); i++)
			assert_int_equal(text[i], 0);
		if (!bad)
			pcore_net_keys_free(keys);
	}
}

/* Does the mapping that p is in have the flag (as smaps prints it)? */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool here = false, found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(f);
	return found;
}

static void keys_are_in_no_core_dump(void **state)
{
	char text[] = "k:all:" SECRET;
	struct pcore_net_keys *keys;
	struct pcore_net_error e;

	(void)state;
	assert_int_equal(pcore_net_keys_parse(&keys, text, sizeof(text) - 1, &e), 0);
	assert_true(has_flag(keys, " dd"));
	assert_false(has_flag(text, " dd"));
	pcore_net_keys_free(keys);
}

/* ---- new ones ---- */

static void a_new_key_can_be_loaded_and_is_ours_alone(void **state)
{
	struct pcore_net_keys *one, *two;
	struct pcore_net_error e;
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	assert_int_equal(pcore_net_keys_generate(path, "mine", &e), 0);
	umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(load(&one, &e), 0);
	assert_non_null(net_key_find(one, "mine"));
	assert_int_equal(net_key_find(one, "mine")->roles, PCORE_NET_ANY_ROLE);
	assert_int_equal(pcore_net_keys_generate(path, NULL, &e), 0);
	assert_int_equal(load(&two, &e), 0);
	assert_int_equal(strlen(net_key_for(two, PCORE_NET_NODE)->kid), 9);
	assert_memory_not_equal(net_key_for(one, PCORE_NET_NODE)->secret, net_key_for(two, PCORE_NET_NODE)->secret, NET_SECRET);
	pcore_net_keys_free(one);
	pcore_net_keys_free(two);
}

static void a_key_is_never_written_over_anything(void **state)
{
	struct pcore_net_error e;

	(void)state;
	put("x", 1, 0600);
	assert_int_equal(pcore_net_keys_generate(path, NULL, &e), -EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(pcore_net_keys_generate(path, NULL, &e), -EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pcore_net_keys_generate("/proc/nowhere/key", NULL, &e), -ENOENT);
	assert_int_equal(pcore_net_keys_generate(path, "no:name", &e), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
}

static void missing_directories_are_made(void **state)
{
	char deep[128], *slash;
	struct pcore_net_error e;
	struct stat st;

	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/b/key", dir);
	assert_int_equal(pcore_net_keys_generate(deep, NULL, &e), 0);
	assert_int_equal(unlink(deep), 0);
	for (int i = 0; i < 2; i++) {
		slash = strrchr(deep, '/');
		*slash = '\0';
		assert_int_equal(stat(deep, &st), 0);
		assert_int_equal(st.st_mode & 0777 & (geteuid() == 0 ? 022 : 077), 0);
		assert_int_equal(rmdir(deep), 0);
	}
}

static void the_key_is_looked_for_in_one_order(void **state)
{
	struct pcore_net_key_places all = { "/k", "/x", "/h", true }, xdg = { "", "/x", "/h", false }, relative = { NULL, "x", "/h", false };
	char text[64];

	(void)state;
	assert_int_equal(pcore_net_keys_path(text, sizeof(text), &all), 0);
	assert_string_equal(text, "/k");
	all.env_key = NULL;
	assert_int_equal(pcore_net_keys_path(text, sizeof(text), &all), 0);
	assert_string_equal(text, "/etc/pcore/cluster.key");
	assert_int_equal(pcore_net_keys_path(text, sizeof(text), &xdg), 0);
	assert_string_equal(text, "/x/pcore/cluster.key");
	assert_int_equal(pcore_net_keys_path(text, sizeof(text), &relative), 0);
	assert_string_equal(text, "/h/.config/pcore/cluster.key");
	relative.home = NULL;
	assert_int_equal(pcore_net_keys_path(text, sizeof(text), &relative), -ENOENT);
	relative.home = "h";
	assert_int_equal(pcore_net_keys_path(text, sizeof(text), &relative), -ENOENT);
	assert_int_equal(pcore_net_keys_path(text, 20, &xdg), -ENAMETOOLONG);
	assert_int_equal(pcore_net_keys_path(text, 21, &xdg), 0);
}

static const struct CMUnitTest tests[] = {
	TEST(all_keys_are_read_in_order),
	TEST(bad_lines_are_told_with_their_number),
	TEST(a_nul_is_refused),
	TEST(sixteen_keys_are_enough),
	TEST(a_file_that_others_can_access_is_refused_with_a_hint),
	TEST(a_symbolic_link_is_refused),
	TEST(what_is_no_file_is_refused),
	TEST(a_file_of_somebody_else_is_refused),
	TEST(a_huge_file_is_not_read),
	TEST(the_text_is_wiped),
	TEST(keys_are_in_no_core_dump),
	TEST(a_new_key_can_be_loaded_and_is_ours_alone),
	TEST(a_key_is_never_written_over_anything),
	TEST(missing_directories_are_made),
	TEST(the_key_is_looked_for_in_one_order),
};

int main(void)
{
	return cmocka_run_group_tests_name(__FILE__, tests, make_dir, remove_dir);
}
