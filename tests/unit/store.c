/* SPDX-License-Identifier: MIT */
/*
 * store.c - tests of libcore/store: the log in a directory of its own, damaged in every way.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/store/private.h"
#include "tests/unit/support.h"

/* in memory where there is such a place: syncs are what takes the time */
static char shm[] = "/dev/shm/pcore-store.XXXXXX", tmp[] = "/tmp/pcore-store.XXXXXX";
static int dfd;

#define FIRST "s/seg-0000000000000001.log"
#define SECOND "s/seg-0000000000000002.log"

static const struct pcore_store_spec always = { .create = true };

static void remove_all(const char *name)
{
	int fd = openat(dfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return;
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			assert_int_equal(unlinkat(fd, e->d_name, 0), 0);
	closedir(d);
	assert_int_equal(unlinkat(dfd, name, AT_REMOVEDIR), 0);
}

static struct pcore_store *open_store(const struct pcore_store_spec *spec, struct pcore_store_found *found)
{
	struct pcore_store *s = NULL;

	assert_int_equal(pcore_store_open(&s, dfd, "s", spec, found), 0);
	return s;
}

static int put_text(struct pcore_store *s, const char *text)
{
	struct pcore_record rec = { .type = 1, .data = text, .len = strlen(text) };

	return pcore_store_put(s, &rec, 1);
}

static int add_text(void *arg, const struct pcore_record *rec)
{
	char *all = arg;

	assert_true(strlen(all) + rec->len + 2 < 4096);
	strncat(all, rec->data, rec->len);
	strcat(all, " ");
	return 0;
}

static const char *all_of(struct pcore_store *s)
{
	static char all[4096];

	all[0] = '\0';
	assert_int_equal(pcore_store_each(s, 1, add_text, all, NULL), 0);
	return all;
}

/* One file of the store, as it is and as it shall be. */
static size_t slurp(const char *name, unsigned char *buf, size_t size)
{
	int fd = openat(dfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, size);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static void spill(const char *name, const void *buf, size_t len)
{
	int fd = openat(dfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, len), len);
	close(fd);
}

static void flip(const char *name, size_t offset, unsigned bit)
{
	unsigned char c;
	int fd = openat(dfd, name, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, (off_t)offset), 1);
	c ^= (unsigned char)(1U << bit);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)offset), 1);
	close(fd);
}

/* alpha, beta and gamma, each on disk before the next. Records of 40 bytes at 64, 104 and 144. */
static void make_three(void)
{
	struct pcore_store *s = open_store(&always, NULL);

	assert_int_equal(put_text(s, "alpha"), 0);
	assert_int_equal(put_text(s, "beta"), 0);
	assert_int_equal(put_text(s, "gamma"), 0);
	assert_int_equal(pcore_store_close(s), 0);
}

enum { THIRD = 144, END = 184 };

static void the_checksum_is_crc32c(void **state)
{
	unsigned char bytes[100], zeros[32] = { 0 }, ones[32];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	assert_int_equal(pcore_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(pcore_crc32c(0, zeros, 32), 0x8a9136aa);
	assert_int_equal(pcore_crc32c(0, ones, 32), 0x62a8ab43);
	assert_int_equal(pcore_crc32c(0, bytes, 32), 0x46dd794e);
	assert_int_equal(pcore_crc32c(0, "", 0), 0);
	for (size_t i = 0; i <= sizeof(bytes); i++) {
		assert_int_equal(pcore_crc32c(0, bytes, i), pcore_crc32c_table(0, bytes, i));
		assert_int_equal(pcore_crc32c(pcore_crc32c(0, bytes, i), bytes + i, sizeof(bytes) - i),
			pcore_crc32c(0, bytes, sizeof(bytes)));
	}
}

static void records_come_back_in_order(void **state)
{
	struct pcore_store_found found;
	struct pcore_store *s;

	(void)state;
	make_three();
	s = open_store(&always, &found);
	assert_true(found.first);
	assert_int_equal(found.cut_bytes, 0);
	assert_string_equal(all_of(s), "alpha beta gamma ");
	assert_int_equal(put_text(s, ""), 0);
	assert_int_equal(put_text(s, "delta"), 0);
	assert_string_equal(all_of(s), "alpha beta gamma  delta ");
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static void two_handles_share_a_log(void **state)
{
	struct pcore_store_found found;
	struct pcore_store *a = open_store(&always, NULL), *b = open_store(&always, &found);
	struct pcore_store_stat st;

	(void)state;
	assert_false(found.first);
	assert_int_equal(put_text(a, "one"), 0);
	assert_int_equal(put_text(b, "two"), 0);
	assert_int_equal(put_text(a, "three"), 0);
	assert_string_equal(all_of(b), "one two three ");
	assert_int_equal(pcore_store_generation(a), pcore_store_generation(b));
	assert_int_equal(pcore_store_stat(b, &st), 0);
	assert_int_equal(st.last_seq, 3);
	assert_int_equal(st.durable_seq, 3);
	assert_int_equal(st.segments, 1);
	assert_int_equal(pcore_store_close(a), 0);
	assert_int_equal(pcore_store_close(b), 0);
	remove_all("s");
}

static void every_truncation_of_the_last_record_cuts_it(void **state)
{
	unsigned char whole[70000];
	size_t len;

	(void)state;
	make_three();
	len = slurp(FIRST, whole, sizeof(whole));
	for (size_t end = THIRD; end <= END; end++) {
		struct pcore_store_found found;
		struct pcore_store *s;
		size_t torn = end;

		while (torn > THIRD && whole[torn - 1] == 0)
			torn--;
		spill(FIRST, whole, end);
		s = open_store(&always, &found);
		assert_string_equal(all_of(s), end == END ? "alpha beta gamma " : "alpha beta ");
		assert_int_equal(found.cut_bytes, end == END ? 0 : torn - THIRD);
		assert_int_equal(found.cut_records, 0);
		assert_int_equal(put_text(s, ""), 0); /* shorter: nothing of the other one may be left behind it */
		assert_int_equal(pcore_store_close(s), 0);
		s = open_store(&always, &found);
		assert_int_equal(found.cut_bytes, 0);
		assert_string_equal(all_of(s), end == END ? "alpha beta gamma  " : "alpha beta  ");
		assert_int_equal(pcore_store_close(s), 0);
	}
	assert_true(len > END);
	remove_all("s");
}

static void every_flipped_bit_of_the_last_record_cuts_it(void **state)
{
	unsigned char whole[70000];
	size_t len;

	(void)state;
	make_three();
	len = slurp(FIRST, whole, sizeof(whole));
	for (size_t bit = (size_t)THIRD * 8; bit < (size_t)END * 8; bit++) {
		struct pcore_store_found found;
		struct pcore_store *s;

		spill(FIRST, whole, len);
		flip(FIRST, bit / 8, bit % 8);
		s = open_store(&always, &found);
		assert_string_equal(all_of(s), "alpha beta ");
		assert_true(found.cut_bytes > 0);
		assert_int_equal(pcore_store_close(s), 0);
	}
	remove_all("s");
}

static void expect_damage(const char *file, uint64_t offset)
{
	struct pcore_store_found found;
	struct pcore_store *s;

	assert_int_equal(pcore_store_open(&s, dfd, "s", &always, &found), -EBADMSG);
	assert_string_equal(found.bad_file, file);
	assert_int_equal(found.bad_offset, offset);
}

static void damage_before_what_was_synced_is_refused(void **state)
{
	unsigned char whole[70000], after[70000];
	size_t len;

	(void)state;
	make_three();
	len = slurp(FIRST, whole, sizeof(whole));
	for (size_t bit = (size_t)SEGMENT_HEADER * 8; bit < (size_t)THIRD * 8; bit += 7) {
		spill(FIRST, whole, len);
		flip(FIRST, bit / 8, bit % 8);
		expect_damage("seg-0000000000000001.log", bit / 8 < 104 ? 64 : 104);
	}
	for (size_t bit = 0; bit < (size_t)SEGMENT_HEADER * 8; bit += 3) {
		struct pcore_store_found found;
		struct pcore_store *s;
		int r;

		spill(FIRST, whole, len);
		flip(FIRST, bit / 8, bit % 8);
		r = pcore_store_open(&s, dfd, "s", &always, &found);
		assert_true(r == -EBADMSG || (r == -EPROTONOSUPPORT && bit / 8 >= 8 && bit / 8 < 16));
	}
	/* nothing was repaired or removed */
	flip(FIRST, 0, 0);
	assert_int_equal(slurp(FIRST, after, sizeof(after)), len);
	spill(FIRST, whole, len);
	flip("s/CURRENT", 40, 3);
	expect_damage("CURRENT", 0);
	flip("s/CURRENT", 40, 3);
	assert_int_equal(unlinkat(dfd, "s/CURRENT", 0), 0);
	expect_damage("CURRENT", 0);
	remove_all("s");
}

static void those_that_come_one_after_the_other_know_what_was_synced(void **state)
{
	static const char *const texts[] = { "alpha", "beta", "gamma" };
	struct pcore_store *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		s = open_store(&always, NULL);
		assert_int_equal(put_text(s, texts[i]), 0);
		assert_int_equal(pcore_store_close(s), 0);
	}
	flip(FIRST, 104 + 33, 1);
	expect_damage("seg-0000000000000001.log", 104);
	remove_all("s");
}

static void a_hole_in_what_was_never_synced_is_a_torn_tail(void **state)
{
	const struct pcore_store_spec none = { .create = true, .sync = PCORE_STORE_NONE };
	struct pcore_store *s = open_store(&none, NULL);
	struct pcore_store_found found;

	(void)state;
	assert_int_equal(put_text(s, "alpha"), 0);
	assert_int_equal(pcore_store_sync(s, UINT64_MAX), 0);
	assert_int_equal(put_text(s, "beta"), 0);
	assert_int_equal(put_text(s, "gamma"), 0);
	assert_int_equal(put_text(s, "delta"), 0);
	assert_int_equal(pcore_store_close(s), 0);
	flip(FIRST, 104 + 33, 1);
	s = open_store(&none, &found);
	assert_string_equal(all_of(s), "alpha ");
	assert_int_equal(found.cut_records, 2);
	assert_true(found.cut_bytes > 80);
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static void another_version_or_a_strange_file_is_told(void **state)
{
	struct pcore_store *s;

	(void)state;
	assert_int_equal(pcore_store_open(&s, dfd, "s", &(struct pcore_store_spec){ 0 }, NULL), -ENOENT);
	make_three();
	flip("s/CURRENT", 8, 1);
	assert_int_equal(pcore_store_open(&s, dfd, "s", &always, NULL), -EPROTONOSUPPORT);
	flip("s/CURRENT", 8, 1);
	flip("s/CURRENT", 12, 1); /* another byte order */
	assert_int_equal(pcore_store_open(&s, dfd, "s", &always, NULL), -EPROTONOSUPPORT);
	flip("s/CURRENT", 12, 1);
	assert_int_equal(unlinkat(dfd, FIRST, 0), 0);
	expect_damage("seg-0000000000000001.log", 0);
	assert_int_equal(mkfifoat(dfd, FIRST, 0600), 0);
	assert_true(pcore_store_open(&s, dfd, "s", &always, NULL) < 0);
	assert_int_equal(unlinkat(dfd, FIRST, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", dfd, FIRST), 0);
	assert_int_equal(pcore_store_open(&s, dfd, "s", &always, NULL), -ELOOP);
	spill("s/CURRENT", "", 0);
	expect_damage("CURRENT", 0);
	remove_all("s");
}

static void a_length_that_cannot_be_is_never_allocated(void **state)
{
	unsigned char whole[70000];
	struct pcore_store_found found;
	struct rlimit was;
	struct pcore_store *s;
	size_t len;

	(void)state;
	make_three();
	len = slurp(FIRST, whole, sizeof(whole));
	assert_int_equal(getrlimit(RLIMIT_DATA, &was), 0);
#ifndef __SANITIZE_ADDRESS__ /* it takes terabytes of addresses */
	assert_int_equal(setrlimit(RLIMIT_DATA, &(struct rlimit){ UINT64_C(1) << 30, was.rlim_max }), 0);
#endif
	memset(whole + THIRD + 4, 0xff, 4);
	spill(FIRST, whole, len);
	s = open_store(&always, &found);
	assert_string_equal(all_of(s), "alpha beta ");
	assert_int_equal(pcore_store_close(s), 0);
	assert_int_equal(setrlimit(RLIMIT_DATA, &was), 0);
	remove_all("s");
}

static void a_record_that_is_too_large_is_refused(void **state)
{
	struct pcore_store_spec spec = { .create = true, .record_max = 4 };
	struct pcore_store *s = open_store(&spec, NULL);

	(void)state;
	assert_int_equal(put_text(s, "four"), 0);
	assert_int_equal(put_text(s, "and five"), -EMSGSIZE);
	assert_string_equal(all_of(s), "four ");
	assert_int_equal(pcore_store_close(s), 0);
	/* the limit is for what is appended: nothing is lost by another one */
	spec.record_max = 2;
	s = open_store(&spec, NULL);
	assert_string_equal(all_of(s), "four ");
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static const struct pcore_store_spec small = { .create = true, .segment_max = 160 };

static void a_full_segment_is_left_for_a_new_one(void **state)
{
	struct pcore_store *s = open_store(&small, NULL), *other = open_store(&small, NULL);
	struct pcore_store_stat st;
	struct pcore_store_found found;
	char text[16], all[4096] = "";
	struct stat file;

	(void)state;
	for (int i = 1; i <= 9; i++) {
		snprintf(text, sizeof(text), "r%d", i);
		assert_int_equal(put_text(i % 2 ? s : other, text), 0);
	}
	assert_int_equal(pcore_store_stat(s, &st), 0);
	assert_int_equal(st.segments, 5);
	assert_string_equal(all_of(other), "r1 r2 r3 r4 r5 r6 r7 r8 r9 ");
	assert_int_equal(pcore_store_each(s, 6, add_text, all, NULL), 0);
	assert_string_equal(all, "r6 r7 r8 r9 ");
	assert_int_equal(fstatat(dfd, FIRST, &file, 0), 0);
	assert_int_equal(file.st_size, 64 + 2 * 40);
	assert_int_equal(pcore_store_close(s), 0);
	assert_int_equal(pcore_store_close(other), 0);

	flip(SECOND, 70, 0);
	s = open_store(&small, NULL);
	assert_int_equal(pcore_store_each(s, 1, add_text, all, &found), -EBADMSG);
	assert_string_equal(found.bad_file, "seg-0000000000000002.log");
	assert_int_equal(found.bad_offset, 64);
	assert_int_equal(pcore_store_close(s), 0);
	flip(SECOND, 70, 0);
	remove_all("s");
}

static void a_record_is_read_back_by_its_place(void **state)
{
	struct pcore_store *s = open_store(&small, NULL);
	struct pcore_record recs[3] = { { .type = 7, .flags = 3, .data = "first", .len = 5 }, { .type = 8, .data = "second one", .len = 10 },
		{ .type = 9 } }, rec;
	struct pcore_buf buf = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(put_text(s, "before"), 0);
	assert_int_equal(pcore_store_put(s, recs, 3), 0);
	assert_int_equal(recs[2].seq, 4);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pcore_store_read(s, recs[i].at, &buf, &rec), 0);
		assert_int_equal(rec.seq, recs[i].seq);
		assert_int_equal(rec.type, recs[i].type);
		assert_int_equal(rec.flags, recs[i].flags);
		assert_int_equal(rec.at, recs[i].at);
		assert_int_equal(rec.len, recs[i].len);
		assert_memory_equal(rec.data, recs[i].len ? recs[i].data : "", rec.len);
	}
	assert_int_equal(pcore_store_read(s, recs[0].at + 1, &buf, &rec), -EBADMSG);
	assert_int_equal(pcore_store_read(s, store_at(77, 64), &buf, &rec), -ESTALE);
	assert_int_equal(pcore_store_read(s, store_at(1, 1 << 30), &buf, &rec), -EBADMSG);
	pcore_buf_done(&buf);
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

/* ---- compaction and salvage ---- */

struct keeping {
	struct pcore_store *other; /* appends meanwhile */
	uint64_t at[32];
	int fail;
};

static int keep_odd(void *arg, const struct pcore_record *rec)
{
	struct keeping *k = arg;

	if (k->other && rec->seq == 3) {
		assert_int_equal(put_text(k->other, "late"), 0);
		assert_int_equal(pcore_store_compact(k->other, &(struct pcore_store_compact){ .keep = keep_odd, .arg = k }), -EBUSY);
	}
	return rec->seq == 4 && k->fail ? k->fail : rec->seq % 2 == 1;
}

static void note_place(void *arg, const struct pcore_record *rec)
{
	struct keeping *k = arg;

	assert_true(rec->seq < 32);
	k->at[rec->seq] = rec->at;
}

static void compaction_keeps_what_it_is_told_to(void **state)
{
	struct pcore_store *s = open_store(&small, NULL), *other = open_store(&small, NULL);
	struct keeping k = { .other = other, .fail = -ECANCELED };
	struct pcore_store_compact how = { .keep = keep_odd, .moved = note_place, .arg = &k };
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_record rec = { .data = "r1", .len = 2 };
	uint64_t old;

	(void)state;
	assert_int_equal(pcore_store_put(s, &rec, 1), 0);
	old = rec.at;
	for (int i = 2; i <= 9; i++)
		assert_int_equal(put_text(s, (char[]){ 'r', (char)('0' + i), 0 }), 0);
	assert_int_equal(pcore_store_compact(s, &how), -ECANCELED);
	assert_string_equal(all_of(s), "r1 r2 r3 r4 r5 r6 r7 r8 r9 late ");
	k.fail = 0;
	k.other = NULL;
	assert_int_equal(pcore_store_compact(s, &how), 0);
	assert_string_equal(all_of(s), "r1 r3 r5 r7 r9 ");
	k.other = other;
	assert_int_equal(pcore_store_compact(s, &how), 0);
	assert_string_equal(all_of(other), "r1 r3 r5 r7 r9 late ");
	assert_int_equal(pcore_store_read(other, old, &buf, &rec), -ESTALE);
	assert_int_equal(pcore_store_read(other, k.at[7], &buf, &rec), 0);
	assert_int_equal(rec.seq, 7);
	assert_memory_equal(rec.data, "r7", 2);
	pcore_buf_done(&buf);
	assert_int_equal(pcore_store_close(s), 0);
	assert_int_equal(pcore_store_close(other), 0);
	s = open_store(&small, NULL);
	assert_string_equal(all_of(s), "r1 r3 r5 r7 r9 late ");
	assert_int_equal(put_text(s, "on"), 0);
	assert_string_equal(all_of(s), "r1 r3 r5 r7 r9 late on ");
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static int keep_none(void *arg, const struct pcore_record *rec)
{
	(void)arg;
	(void)rec;
	return 0;
}

static void a_log_of_which_nothing_is_kept_goes_on_counting(void **state)
{
	struct pcore_store *s = open_store(&small, NULL);
	struct pcore_record rec = { .data = "x", .len = 1 };
	struct pcore_store_stat st;

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(put_text(s, "r"), 0);
	assert_int_equal(pcore_store_compact(s, &(struct pcore_store_compact){ .keep = keep_none }), 0);
	assert_int_equal(pcore_store_stat(s, &st), 0);
	assert_int_equal(st.segments, 1);
	assert_int_equal(pcore_store_close(s), 0);
	s = open_store(&small, NULL);
	assert_string_equal(all_of(s), "");
	assert_int_equal(pcore_store_put(s, &rec, 1), 0);
	assert_int_equal(rec.seq, 6);
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static void salvage_copies_what_is_whole(void **state)
{
	struct pcore_store *s = open_store(&small, NULL);
	struct pcore_store_salvaged got;
	char all[4096] = "";

	(void)state;
	for (int i = 1; i <= 9; i++)
		assert_int_equal(put_text(s, (char[]){ 'r', (char)('0' + i), 0 }), 0);
	assert_int_equal(pcore_store_close(s), 0);
	assert_int_equal(pcore_store_salvage(dfd, "s", dfd, "s", &got), -EEXIST);
	flip(FIRST, 70, 0);			  /* r1 */
	flip("s/seg-0000000000000003.log", 20, 0); /* the header: r5 and r6 are whole */
	flip("s/seg-0000000000000005.log", 64 + 32, 0); /* r9, the last */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(pcore_store_salvage(dfd, "s", dfd, "t", &got), 0);
		assert_int_equal(pcore_store_open(&s, dfd, "t", &always, NULL), 0);
		assert_string_equal(all_of(s), round == 0 ? "r2 r3 r4 r5 r6 r7 r8 " : "r2 r3 r4 r7 r8 ");
		assert_int_equal(got.records, round == 0 ? 7 : 5);
		assert_int_equal(got.missing, round == 0 ? 1 : 3);
		assert_int_equal(got.bad_places, round == 0 ? 3 : 2);
		assert_int_equal(put_text(s, "new"), 0);
		assert_int_equal(pcore_store_close(s), 0);
		remove_all("t");
		if (round == 0) /* without the list, a segment whose header is damaged is none */
			assert_int_equal(unlinkat(dfd, "s/CURRENT", 0), 0);
	}
	(void)all;
	assert_int_equal(pcore_store_salvage(dfd, "nothing", dfd, "t", &got), -ENOENT);
	remove_all("s");
}

/* ---- failures ---- */

static void a_failed_sync_poisons_the_store_for_all(void **state)
{
	struct pcore_store *s = open_store(&always, NULL), *other = open_store(&always, NULL);
	struct pcore_store_stat st;

	(void)state;
	assert_int_equal(put_text(s, "one"), 0);
	pcore_fault_set("store-sync:1:EIO");
	assert_int_equal(put_text(s, "two"), -EIO);
	assert_int_equal(put_text(s, "three"), -ENOTRECOVERABLE);
	assert_int_equal(put_text(other, "four"), -ENOTRECOVERABLE);
	assert_int_equal(pcore_store_sync(other, 1), -ENOTRECOVERABLE);
	assert_int_equal(pcore_store_begin(other), -ENOTRECOVERABLE);
	assert_int_equal(pcore_store_compact(other, &(struct pcore_store_compact){ .keep = keep_none }), -ENOTRECOVERABLE);
	assert_int_equal(pcore_store_stat(s, &st), 0);
	assert_int_equal(st.poison, -EIO);
	pcore_fault_set("");
	assert_int_equal(pcore_store_close(s), 0);
	s = open_store(&always, NULL); /* other still has it open */
	assert_int_equal(put_text(s, "five"), -ENOTRECOVERABLE);
	assert_int_equal(pcore_store_close(s), 0);
	assert_int_equal(pcore_store_close(other), 0);
	s = open_store(&always, NULL);
	assert_int_equal(put_text(s, "six"), 0);
	assert_string_equal(all_of(s), "one two six ");
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

/* Everything a store does once. Counts what was acknowledged: records are "1", "2" ... */
static unsigned work(int *ret_r)
{
	struct pcore_store *s = NULL;
	unsigned acked = 0;
	int r = pcore_store_open(&s, dfd, "s", &small, NULL);

	for (unsigned i = 1; r == 0 && i <= 8; i++) {
		char text[4];

		snprintf(text, sizeof(text), "%u", i);
		r = put_text(s, text);
		acked += r == 0;
		if (i == 5 && r == 0)
			r = pcore_store_compact(s, &(struct pcore_store_compact){ .keep = keep_odd, .arg = &(struct keeping){ 0 } });
	}
	*ret_r = r;
	(void)pcore_store_close(s);
	return acked;
}

static int see_number(void *arg, const struct pcore_record *rec)
{
	unsigned *seen = arg;
	unsigned n = (unsigned)(*(const char *)rec->data - '0');

	assert_int_equal(rec->len, 1);
	assert_int_equal(n, rec->seq);
	assert_true(n <= 8);
	*seen |= 1U << n;
	return 0;
}

/* Whatever fails, and however often it goes on failing: what was acknowledged is there, and the store works. */
static void check_after(unsigned acked, const char *spec)
{
	struct pcore_store *s = NULL;
	unsigned seen = 0;
	int r = pcore_store_open(&s, dfd, "s", &small, NULL);

	if (r < 0)
		print_error("# %s: open says %d\n", spec, r);
	assert_int_equal(r, 0);
	assert_int_equal(pcore_store_each(s, 1, see_number, &seen, NULL), 0);
	for (unsigned i = 1; i <= acked; i++) {
		bool dropped = acked >= 5 && i <= 5 && i % 2 == 0; /* perhaps */

		if (!dropped && !(seen & 1U << i))
			print_error("# %s: %u of %u is lost\n", spec, i, acked);
		assert_true(dropped || (seen & 1U << i));
	}
	assert_int_equal(put_text(s, "after"), 0);
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static void whatever_operation_fails_what_was_acknowledged_is_there(void **state)
{
	static const char *const kinds[] = { "open", "read", "write", "sync", "alloc", "rename", "cut", "map", "remove", "lock" };
	static const char *const how[] = { "", "+" };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t h = 0; h < ARRAY_SIZE(how); h++)
			for (unsigned n = 1, unharmed = 0; unharmed < 12; n++) { /* some failures do no harm */
				char spec[64];
				unsigned acked;
				int r;

				snprintf(spec, sizeof(spec), "store-%s:%u%s:%s", kinds[k], n, how[h], n % 2 ? "EIO" : "ENOSPC");
				pcore_fault_set(spec);
				acked = work(&r);
				pcore_fault_set("");
				check_after(acked, spec);
				assert_true(r < 0 || acked == 8);
				unharmed = r == 0 ? unharmed + 1 : 0;
			}
}

static void a_short_write_is_gone_on_with(void **state)
{
	unsigned acked;
	int r;

	(void)state;
	pcore_fault_set("store-write:1+:short=7,store-read:1+:short=5");
	acked = work(&r);
	pcore_fault_set("");
	assert_int_equal(r, 0);
	assert_int_equal(acked, 8);
	check_after(acked, "short");
}

static void half_a_write_is_taken_back(void **state)
{
	struct pcore_store *s = open_store(&always, NULL);
	struct pcore_store_found found;

	(void)state;
	assert_int_equal(put_text(s, "one"), 0);
	pcore_fault_set("store-write:1:short=39,store-write:2:ENOSPC");
	assert_int_equal(put_text(s, "another"), -ENOSPC);
	pcore_fault_set("");
	assert_int_equal(put_text(s, ""), 0);
	assert_string_equal(all_of(s), "one  ");
	assert_int_equal(pcore_store_close(s), 0);
	s = open_store(&always, &found);
	assert_int_equal(found.cut_bytes, 0);
	assert_string_equal(all_of(s), "one  ");
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static void a_file_that_may_not_grow_fails_a_put_and_not_an_ack(void **state)
{
	struct pcore_store *s = open_store(&always, NULL);
	struct pcore_record big = { .data = calloc(1, 50000), .len = 50000 }, ack = { .type = 2 };
	struct rlimit was;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 120000, was.rlim_max }), 0);
	assert_int_equal(pcore_store_begin(s), 0);
	assert_int_equal(pcore_store_append(s, &big, 1, 320), 0);
	assert_int_equal(pcore_store_append(s, &big, 1, 20000), -EFBIG);
	assert_int_equal(pcore_store_append(s, &big, 1, 320), 0);
	assert_int_equal(pcore_store_append(s, &big, 1, 320), -EFBIG);
	for (int i = 0; i < 10; i++)
		assert_int_equal(pcore_store_append(s, &ack, 1, 0), 0);
	pcore_store_end(s);
	assert_int_equal(pcore_store_sync(s, UINT64_MAX), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	free((void *)(uintptr_t)big.data);
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

/* The child does something and dies in the middle of it, with the lock. */
static void in_a_child_that_dies(void (*fn)(struct pcore_store *s))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct pcore_store *s = open_store(&always, NULL);

		assert_int_equal(pcore_store_begin(s), 0);
		fn(s);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void write_half(struct pcore_store *s)
{
	assert_int_equal(pwrite(store_tail(s), "LPRC torn", 9, (off_t)atomic_load(&s->c->end)), 9);
}

static void write_and_not_publish(struct pcore_store *s)
{
	uint64_t end = atomic_load(&s->c->end), last = atomic_load(&s->c->last_seq);
	struct pcore_record rec = { .data = "whole", .len = 5 };

	assert_int_equal(pcore_store_append(s, &rec, 1, 0), 0);
	atomic_store(&s->c->end, end);
	atomic_store(&s->c->last_seq, last);
}

/* The new list is in place, the end is still that of the old segment. */
static void roll_and_not_publish(struct pcore_store *s)
{
	uint64_t end = atomic_load(&s->c->end), tail = atomic_load(&s->c->tail);

	assert_int_equal(store_roll(s, 0), 0);
	atomic_store(&s->c->end, end);
	atomic_store(&s->c->tail, tail);
}

static void take_the_sync_lock(struct pcore_store *s)
{
	assert_int_equal(pthread_mutex_lock(&s->c->sync), 0);
}

static void the_death_of_a_holder_is_survived(void **state)
{
	struct pcore_store *s = open_store(&always, NULL);
	uint64_t generation = pcore_store_generation(s);

	(void)state;
	assert_int_equal(put_text(s, "one"), 0);
	in_a_child_that_dies(write_half);
	assert_int_equal(put_text(s, "two"), 0);
	assert_int_not_equal(pcore_store_generation(s), generation);
	in_a_child_that_dies(write_and_not_publish);
	assert_int_equal(put_text(s, "three"), 0);
	in_a_child_that_dies(take_the_sync_lock);
	assert_int_equal(put_text(s, "four"), 0);
	in_a_child_that_dies(roll_and_not_publish);
	assert_int_equal(put_text(s, "five"), 0);
	assert_string_equal(all_of(s), "one two whole three four five ");
	assert_int_equal(pcore_store_close(s), 0);
	s = open_store(&always, NULL);
	assert_string_equal(all_of(s), "one two whole three four five ");
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static void an_interval_says_when_it_is_due(void **state)
{
	const struct pcore_store_spec spec = { .create = true, .sync = PCORE_STORE_INTERVAL, .interval_ns = 3600 * NS_PER_S };
	struct pcore_store *s = open_store(&spec, NULL);
	struct pcore_store_stat st;

	(void)state;
	assert_int_equal(pcore_store_due_ns(s), INT64_MAX);
	assert_int_equal(put_text(s, "one"), 0);
	assert_int_equal(pcore_store_stat(s, &st), 0);
	assert_int_equal(st.durable_seq, 0);
	assert_true(pcore_store_due_ns(s) > pcore_now_ns() + 3000 * NS_PER_S);
	pcore_fault_set("store-sync:1:EIO"); /* closing syncs, and says what comes of it */
	assert_int_equal(pcore_store_close(s), -EIO);
	pcore_fault_set("");
	remove_all("s");
}

static void a_file_is_replaced_or_stays(void **state)
{
	unsigned char got[8];

	(void)state;
	assert_int_equal(pcore_store_replace(dfd, "file", "old", 3), 0);
	for (unsigned n = 1; n <= 2; n++) {
		pcore_fault_set((const char *[]){ "store-rename:1:EIO", "store-write:1:ENOSPC" }[n - 1]);
		assert_true(pcore_store_replace(dfd, "file", "new", 3) < 0);
		pcore_fault_set("");
		assert_int_equal(slurp("file", got, sizeof(got)), 3);
		assert_memory_equal(got, "old", 3);
	}
	assert_int_equal(pcore_store_replace(dfd, "file", "newer", 5), 0);
	assert_int_equal(slurp("file", got, sizeof(got)), 5);
	assert_memory_equal(got, "newer", 5);
	assert_int_equal(faccessat(dfd, "file.new", F_OK, 0), -1);
	assert_int_equal(unlinkat(dfd, "file", 0), 0);
}

/* ---- the format ---- */

static void copy_fixture(const char *name)
{
	char from[128], to[64];
	unsigned char bytes[4096];
	int fd;
	ssize_t n;

	snprintf(from, sizeof(from), "tests/fixtures/store-1.0/%s", name);
	snprintf(to, sizeof(to), "s/%s", name);
	fd = open(from, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, bytes, sizeof(bytes));
	close(fd);
	assert_true(n > 0);
	spill(to, bytes, (size_t)n);
}

static void version_1_0_is_read(void **state)
{
	const struct pcore_store_spec there = { 0 };
	struct pcore_store_found found;
	struct pcore_store *s;

	(void)state;
	assert_int_equal(mkdirat(dfd, "s", 0700), 0);
	copy_fixture("CURRENT");
	copy_fixture("seg-0000000000000001.log");
	copy_fixture("seg-0000000000000002.log");
	copy_fixture("seg-0000000000000003.log");
	s = open_store(&there, &found);
	assert_int_equal(found.cut_bytes, 0);
	assert_string_equal(all_of(s), "alpha gamma delta epsilon ");
	assert_int_equal(put_text(s, "zeta"), 0);
	assert_string_equal(all_of(s), "alpha gamma delta epsilon zeta ");
	assert_int_equal(pcore_store_close(s), 0);
	remove_all("s");
}

static void a_record_has_the_bytes_of_the_manual(void **state)
{
	/* pcore-wire(7), "Store" */
	static const unsigned char want[40] = {
		0x4c, 0x50, 0x52, 0x43, 0x05, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 'a', 'l', 'p', 'h', 'a', 0, 0, 0 };
	uint8_t uuid[PCORE_STORE_UUID];
	struct pcore_record rec = { .seq = 1, .type = 1, .data = "alpha", .len = 5 }, back;
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	uint64_t synced;
	size_t need;

	(void)state;
	for (unsigned i = 0; i < sizeof(uuid); i++)
		uuid[i] = (uint8_t)i;
	assert_int_equal(store_record_encode(&buf, store_seed(uuid), &rec, 0), 0);
	assert_int_equal(buf.len, sizeof(want));
	for (unsigned i = 0; i < sizeof(want); i++)
		if (i < 28 || i >= 32)
			assert_int_equal((unsigned char)buf.data[i], want[i]);
	assert_memory_equal(buf.data + 28, "\x0b\x60\x42\xa7", 4);
	assert_int_equal(store_record_decode(buf.data, buf.len, store_seed(uuid), &back, &synced, &need), 0);
	uuid[0] = 1; /* of another store */
	assert_int_equal(store_record_decode(buf.data, buf.len, store_seed(uuid), &back, &synced, &need), -EBADMSG);
	pcore_buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_checksum_is_crc32c),
		TEST(records_come_back_in_order),
		TEST(two_handles_share_a_log),
		TEST(every_truncation_of_the_last_record_cuts_it),
		TEST(every_flipped_bit_of_the_last_record_cuts_it),
		TEST(damage_before_what_was_synced_is_refused),
		TEST(those_that_come_one_after_the_other_know_what_was_synced),
		TEST(a_hole_in_what_was_never_synced_is_a_torn_tail),
		TEST(another_version_or_a_strange_file_is_told),
		TEST(a_length_that_cannot_be_is_never_allocated),
		TEST(a_record_that_is_too_large_is_refused),
		TEST(a_full_segment_is_left_for_a_new_one),
		TEST(a_record_is_read_back_by_its_place),
		TEST(compaction_keeps_what_it_is_told_to),
		TEST(a_log_of_which_nothing_is_kept_goes_on_counting),
		TEST(salvage_copies_what_is_whole),
		TEST(a_failed_sync_poisons_the_store_for_all),
		TEST(whatever_operation_fails_what_was_acknowledged_is_there),
		TEST(a_short_write_is_gone_on_with),
		TEST(half_a_write_is_taken_back),
		TEST(a_file_that_may_not_grow_fails_a_put_and_not_an_ack),
		TEST(the_death_of_a_holder_is_survived),
		TEST(an_interval_says_when_it_is_due),
		TEST(a_file_is_replaced_or_stays),
		TEST(version_1_0_is_read),
		TEST(a_record_has_the_bytes_of_the_manual),
	};
	char *dir = mkdtemp(shm);
	int r;

	dir = dir ? dir : mkdtemp(tmp);
	dfd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dfd < 0)
		return 99;
	r = RUN_TESTS(tests);
	close(dfd);
	(void)rmdir(dir);
	return r;
}
