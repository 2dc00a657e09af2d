/* SPDX-License-Identifier: MIT */
/*
 * ring.c - tests of libcore/ipc/ring: items in shared memory. Deaths are in tests/fault/.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/ipc/ipc.h"
#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-ring.XXXXXX";
static int dfd;

static const struct pcore_take gone = { 0 };

static int64_t in_ms(int64_t ms)
{
	return pcore_now_ns() + ms * NS_PER_MS;
}

static struct pcore_ring *make(const struct pcore_ring_spec *spec)
{
	struct pcore_ring *r = NULL;

	assert_int_equal(pcore_ring_create(dfd, "r", spec), 0);
	assert_int_equal(pcore_ring_open(&r, dfd, "r"), 0);
	return r;
}

static void done(struct pcore_ring *r)
{
	pcore_ring_free(r);
	assert_int_equal(unlinkat(dfd, "r", 0), 0);
}

static int put_item(struct pcore_ring *r, struct pcore_item item)
{
	return pcore_ring_put(r, &item, 1, false, 0);
}

static int put(struct pcore_ring *r, const char *s)
{
	return put_item(r, (struct pcore_item){ .data = s, .len = strlen(s) });
}

/* Take one item as text: "" when there is none. */
static const char *get_as(struct pcore_ring *r, const struct pcore_take *how, struct pcore_item *item, int64_t deadline)
{
	static char text[256];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int n = pcore_ring_get(r, item, 1, how, &buf, deadline);

	snprintf(text, sizeof(text), "%s", n == 1 ? (const char *)item->data : "");
	if (n == 1)
		assert_int_equal(strlen(text), item->len);
	pcore_buf_done(&buf);
	return text;
}

static const char *get(struct pcore_ring *r)
{
	struct pcore_item item;

	return get_as(r, &gone, &item, 0);
}

static int get_error(struct pcore_ring *r, int64_t deadline)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item item;
	int n = pcore_ring_get(r, &item, 1, &gone, &buf, deadline);

	pcore_buf_done(&buf);
	return n;
}

static struct pcore_ring_stat stat_of(struct pcore_ring *r)
{
	struct pcore_ring_stat s;

	assert_int_equal(pcore_ring_stat(r, &s), 0);
	return s;
}

static void items_come_out_as_they_went_in(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });

	(void)state;
	assert_int_equal(put(r, "a"), 1);
	assert_int_equal(put(r, ""), 1);
	assert_int_equal(put(r, "c"), 1);
	assert_int_equal(stat_of(r).ready, 3);
	assert_string_equal(get(r), "a");
	assert_int_equal(get_error(r, 0), 1);
	assert_string_equal(get(r), "c");
	assert_int_equal(get_error(r, 0), -EAGAIN);
	done(r);
}

static void a_stack_gives_the_newest_first(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .order = PCORE_LIFO });
	struct pcore_take lease = { .lease = true, .lease_ns = NS_PER_S };
	struct pcore_item item;

	(void)state;
	put(r, "a");
	put(r, "b");
	put(r, "c");
	assert_string_equal(get_as(r, &lease, &item, 0), "c");
	put(r, "d");
	assert_int_equal(pcore_ring_nack(r, item.id, item.attempt, 0), 0);
	assert_string_equal(get(r), "d");
	assert_string_equal(get(r), "c");
	assert_string_equal(get(r), "b");
	assert_string_equal(get(r), "a");
	done(r);
}

static void priorities_come_in_order_and_ties_as_they_were_put(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .order = PCORE_PRIORITY });
	char text[16];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%u-%03u", i * 7 % 5, i);
		assert_int_equal(put_item(r, (struct pcore_item){ .data = text, .len = strlen(text), .priority = i * 7 % 5 }), 1);
	}
	for (unsigned p = 0; p < 5; p++)
		for (unsigned i = 0; i < 1000; i++)
			if (i * 7 % 5 == p) {
				snprintf(text, sizeof(text), "%u-%03u", p, i);
				assert_string_equal(get(r), text);
			}
	done(r);
}

static void every_length_comes_back_whole(void **state)
{
	static const size_t lengths[] = { 0, 1, 63, 64, 65, 191, 192, 193, 320, 321, 4096, 65537, 1 << 20 };
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .max_bytes = 4 << 20 });
	char *data = malloc(1 << 20);
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item item;

	(void)state;
	for (size_t i = 0; i < 1 << 20; i++)
		data[i] = (char)(i * 31 + i / 251);
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
			assert_int_equal(put_item(r, (struct pcore_item){ .data = data, .len = lengths[i],
				.key = "key and more", .key_len = i }), 1);
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			buf.len = 0;
			assert_int_equal(pcore_ring_get(r, &item, 1, &gone, &buf, 0), 1);
			assert_int_equal(item.len, lengths[i]);
			assert_memory_equal(item.data, data, lengths[i]);
		}
		assert_int_equal(stat_of(r).bytes, 0);
	}
	pcore_buf_done(&buf);
	free(data);
	done(r);
}

static void a_batch_is_put_and_taken_in_order(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .max_items = 100 });
	struct pcore_item in[150], out[150];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	char text[150][8];

	(void)state;
	for (size_t i = 0; i < 150; i++) {
		snprintf(text[i], sizeof(text[i]), "%zu", i);
		in[i] = (struct pcore_item){ .data = text[i], .len = strlen(text[i]) };
	}
	assert_int_equal(pcore_ring_put(r, in, 150, false, 0), 100);
	assert_int_equal(pcore_ring_put(r, in, 150, false, 0), -EAGAIN);
	assert_int_equal(in[99].id, in[0].id + 99);
	assert_int_equal(pcore_ring_get(r, out, 60, &gone, &buf, 0), 60);
	assert_int_equal(pcore_ring_get(r, out + 60, 90, &gone, &buf, 0), 40);
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(out[i].id, in[i].id);
	assert_string_equal(out[60].data, "60");
	assert_string_equal(out[99].data, "99");
	pcore_buf_done(&buf);
	done(r);
}

static void a_batch_ends_where_its_bytes_do(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take how = { .bytes_max = 10 };
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item out[10];

	(void)state;
	put(r, "123456789012345");
	for (int i = 0; i < 5; i++)
		put(r, "1234");
	assert_int_equal(pcore_ring_get(r, out, 10, &how, &buf, 0), 1);
	assert_int_equal(pcore_ring_get(r, out, 10, &how, &buf, 0), 2);
	assert_int_equal(stat_of(r).ready, 3);
	pcore_buf_done(&buf);
	done(r);
}

static void the_limits_are_exact(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .max_items = 3, .max_bytes = 100, .max_item = 60 });
	char data[100];

	(void)state;
	memset(data, 'x', sizeof(data));
	assert_int_equal(put_item(r, (struct pcore_item){ .data = data, .len = 61 }), -EMSGSIZE);
	assert_int_equal(put_item(r, (struct pcore_item){ .data = data, .len = 60 }), 1);
	assert_int_equal(put_item(r, (struct pcore_item){ .data = data, .len = 41 }), -EAGAIN);
	assert_int_equal(put_item(r, (struct pcore_item){ .data = data, .len = 40 }), 1);
	assert_int_equal(put(r, ""), 1);
	assert_int_equal(put(r, ""), -EAGAIN);
	assert_int_equal(stat_of(r).bytes, 100);
	get(r);
	assert_int_equal(put(r, ""), 1);
	done(r);
}

static void the_worst_mix_of_sizes_fits(void **state)
{
	struct pcore_ring_spec specs[] = { { .max_items = 1000, .max_bytes = 65000 }, { .max_items = 100, .max_bytes = 19300 },
		{ .max_items = 1, .max_bytes = 1 } };
	char data[193] = { 0 };
	static const size_t lengths[] = { 65, 193, 1 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(specs); s++) {
		struct pcore_ring *r = make(&specs[s]);

		for (uint64_t i = 0; i < specs[s].max_items; i++)
			assert_int_equal(put_item(r, (struct pcore_item){ .data = data, .len = lengths[s] }), 1);
		assert_int_equal(put(r, ""), -EAGAIN);
		done(r);
	}
}

static void limits_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	assert_int_equal(pcore_ring_create(dfd, "r", &(struct pcore_ring_spec){ .max_bytes = 10, .max_item = 11 }), -EINVAL);
	assert_int_equal(pcore_ring_create(dfd, "r", &(struct pcore_ring_spec){ .max_items = UINT64_C(1) << 40 }), -EOVERFLOW);
	assert_int_equal(pcore_ring_create(dfd, "r", &(struct pcore_ring_spec){ .max_bytes = UINT64_MAX }), -EOVERFLOW);
}

static void a_key_is_in_use_until_its_item_is_gone(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_item a = { .data = "one", .len = 3, .key = "k", .key_len = 1 }, b = { .data = "two", .len = 3, .key = "k", .key_len = 1 };
	struct pcore_take lease = { .lease = true, .lease_ns = NS_PER_S };
	struct pcore_item item;

	(void)state;
	assert_int_equal(pcore_ring_put(r, &a, 1, false, 0), 1);
	assert_int_equal(pcore_ring_put(r, &b, 1, false, 0), -EEXIST);
	assert_int_equal(pcore_ring_put(r, &b, 1, true, 0), 1);
	assert_int_equal(stat_of(r).ready, 1);
	assert_string_equal(get_as(r, &lease, &item, 0), "two");
	assert_int_equal(pcore_ring_put(r, &a, 1, false, 0), -EEXIST);
	assert_int_equal(pcore_ring_put(r, &a, 1, true, 0), 1);
	assert_int_equal(pcore_ring_ack(r, item.id, item.attempt), -ENOENT);
	assert_string_equal(get(r), "one");
	assert_int_equal(pcore_ring_put(r, &a, 1, false, 0), 1);
	done(r);
}

static void a_lease_ends_by_ack_nack_or_time(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take lease = { .lease = true, .lease_ns = 30 * NS_PER_MS }, longer = { .lease = true, .lease_ns = INT64_MAX };
	struct pcore_item item, second;

	(void)state;
	put(r, "a");
	assert_string_equal(get_as(r, &longer, &item, 0), "a");
	assert_int_equal(item.attempt, 1);
	assert_int_equal(stat_of(r).leased, 1);
	assert_int_equal(get_error(r, 0), -EAGAIN);
	assert_int_equal(pcore_ring_nack(r, item.id, item.attempt, 0), 0);
	assert_int_equal(pcore_ring_nack(r, item.id, item.attempt, 0), -ENOENT);

	assert_string_equal(get_as(r, &lease, &item, 0), "a");
	assert_int_equal(item.attempt, 2);
	assert_string_equal(get_as(r, &longer, &second, in_ms(5000)), "a"); /* the first one's time is up */
	assert_int_equal(second.attempt, 3);
	assert_int_equal(pcore_ring_ack(r, item.id, item.attempt), -ESTALE);
	assert_int_equal(stat_of(r).leased, 1);
	assert_int_equal(pcore_ring_ack(r, second.id, second.attempt), 0);
	assert_int_equal(pcore_ring_ack(r, second.id, second.attempt), -ENOENT);
	assert_int_equal(pcore_ring_join(r, 0), 0);
	assert_int_equal(stat_of(r).returns, 2);
	done(r);
}

static void a_touch_gives_a_lease_its_time_again(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take lease = { .lease = true, .lease_ns = 200 * NS_PER_MS };
	struct pcore_item item;
	int64_t from = pcore_now_ns();

	(void)state;
	put(r, "a");
	get_as(r, &lease, &item, 0);
	assert_int_equal(get_error(r, in_ms(100)), -ETIMEDOUT);
	assert_int_equal(pcore_ring_touch(r, item.id, item.attempt, 0), 0);
	assert_int_equal(get_error(r, in_ms(5000)), 1);
	assert_true(pcore_now_ns() - from >= 300 * NS_PER_MS);
	assert_int_equal(pcore_ring_touch(r, item.id, item.attempt, 0), -ENOENT);
	done(r);
}

static void an_untaken_item_was_never_leased(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take lease = { .lease = true, .lease_ns = NS_PER_S };
	struct pcore_item item;

	(void)state;
	put(r, "a");
	put(r, "b");
	for (uint32_t i = 0; i < 3; i++) {
		assert_string_equal(get_as(r, &lease, &item, 0), "a");
		assert_int_equal(item.attempt, 1);
		assert_int_equal(pcore_ring_untake(r, item.id, item.attempt), 0);
	}
	assert_int_equal(pcore_ring_untake(r, item.id, item.attempt), -ENOENT);
	assert_int_equal(stat_of(r).ready, 2);
	assert_int_equal(stat_of(r).leased, 0);
	done(r);
}

/* The dead item after this one, as "ID DATA: REASON", or "". */
static const char *dead_after(struct pcore_ring *r, uint64_t after)
{
	static char text[1024];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int64_t now = pcore_clock_ns(CLOCK_REALTIME);
	struct pcore_dead d;
	int n;

	assert_int_equal(pcore_buf_add(&buf, "before", 6), 0);
	n = pcore_ring_dead(r, after, &d, &buf);
	assert_in_range(n, 0, 1);
	text[0] = '\0';
	if (n > 0) {
		assert_int_equal(strlen(d.item.data), d.item.len);
		assert_int_equal(strlen(d.reason), d.reason_len);
		assert_in_range(d.died_ns, now - 60 * NS_PER_S, now);
		snprintf(text, sizeof(text), "%u %s: %s", (unsigned)d.item.id, (const char *)d.item.data, d.reason);
	}
	pcore_buf_done(&buf);
	return text;
}

/* Put and lease s, and bury it. */
static struct pcore_item bury(struct pcore_ring *r, const char *s, const char *reason)
{
	struct pcore_take lease = { .lease = true, .lease_ns = NS_PER_S };
	struct pcore_item item;

	assert_int_equal(put(r, s), 1);
	assert_string_equal(get_as(r, &lease, &item, 0), s);
	assert_int_equal(pcore_ring_bury(r, item.id, item.attempt, reason, strlen(reason)), 0);
	return item;
}

static void a_buried_item_is_dead_until_it_is_revived_or_dropped(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take lease = { .lease = true, .lease_ns = NS_PER_S };
	struct pcore_item item;

	(void)state;
	item = bury(r, "a", "exit 7");
	bury(r, "b", "");
	bury(r, "c", "SIGKILL");
	assert_int_equal(get_error(r, 0), -EAGAIN);
	assert_int_equal(stat_of(r).dead, 3);
	assert_int_equal(stat_of(r).delayed + stat_of(r).ready + stat_of(r).leased, 0);
	assert_int_equal(stat_of(r).bytes, 3 + 6 + 7);
	assert_int_equal(pcore_ring_ack(r, item.id, item.attempt), -ENOENT);
	assert_int_equal(pcore_ring_bury(r, item.id, item.attempt, "again", 5), -ENOENT);
	assert_string_equal(dead_after(r, 0), "1 a: exit 7");
	assert_string_equal(dead_after(r, 1), "2 b: ");
	assert_string_equal(dead_after(r, 2), "3 c: SIGKILL");
	assert_string_equal(dead_after(r, 3), "");

	assert_int_equal(pcore_ring_revive(r, 2), 0);
	assert_int_equal(pcore_ring_revive(r, 2), -ENOENT);
	assert_int_equal(pcore_ring_discard(r, 2), -ENOENT);
	assert_int_equal(pcore_ring_discard(r, 99), -ENOENT);
	assert_string_equal(get_as(r, &lease, &item, 0), "b");
	assert_int_equal(item.tries, 1);
	assert_int_equal(pcore_ring_bury(r, item.id, 1, "", 0), -ESTALE);
	assert_int_equal(pcore_ring_bury(r, item.id, 2, "later", 5), 0);
	assert_string_equal(dead_after(r, 1), "2 b: later");
	assert_int_equal(pcore_ring_discard(r, 1), 0);
	assert_string_equal(dead_after(r, 0), "2 b: later");
	assert_int_equal(pcore_ring_close(r, true), 0);
	assert_string_equal(dead_after(r, 0), "");
	assert_int_equal(stat_of(r).dead + stat_of(r).bytes, 0);
	done(r);
}

static void a_reason_is_kept_behind_an_item_of_every_length(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take lease = { .lease = true, .lease_ns = NS_PER_S };
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	char data[500], reason[300];
	struct pcore_item item;
	struct pcore_dead d;

	(void)state;
	memset(data, 'd', sizeof(data));
	for (size_t i = 0; i < sizeof(reason); i++)
		reason[i] = (char)('a' + i % 23);
	for (size_t len = 0; len < sizeof(data); len++) {
		size_t want = len * 7 % sizeof(reason);

		assert_int_equal(put_item(r, (struct pcore_item){ .data = data, .len = len, .key = "key", .key_len = len % 4 }), 1);
		pcore_buf_clear(&buf);
		assert_int_equal(pcore_ring_get(r, &item, 1, &lease, &buf, 0), 1);
		assert_int_equal(pcore_ring_bury(r, item.id, item.attempt, reason, want), 0);
		pcore_buf_clear(&buf);
		assert_int_equal(pcore_ring_dead(r, 0, &d, &buf), 1);
		assert_int_equal(d.item.len, len);
		assert_memory_equal(d.item.data, data, len);
		assert_int_equal(d.reason_len, want < PCORE_REASON_MAX ? want : PCORE_REASON_MAX);
		assert_memory_equal(d.reason, reason, d.reason_len);
		assert_int_equal(pcore_ring_revive(r, d.item.id), 0);
		assert_int_equal(stat_of(r).bytes, len + len % 4);
		pcore_buf_clear(&buf);
		assert_int_equal(pcore_ring_get(r, &item, 1, &gone, &buf, 0), 1);
		assert_memory_equal(item.data, data, len);
	}
	assert_int_equal(stat_of(r).bytes, 0);
	pcore_buf_done(&buf);
	done(r);
}

static void dead_items_take_room_and_their_reasons_are_cut_to_what_there_is(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .max_items = 3, .max_bytes = 20 });
	struct pcore_item again = { .data = "x", .len = 1, .key = "k", .key_len = 1 };

	(void)state;
	bury(r, "0123456789", "because");
	bury(r, "a", "reason");
	assert_string_equal(dead_after(r, 0), "1 0123456789: because");
	assert_string_equal(dead_after(r, 1), "2 a: re");
	assert_int_equal(put(r, "b"), -EAGAIN);
	assert_int_equal(put(r, ""), 1);
	assert_int_equal(put(r, ""), -EAGAIN);
	assert_int_equal(pcore_ring_revive(r, 1), 0);
	assert_int_equal(stat_of(r).bytes, 13);
	assert_int_equal(put(r, ""), -EAGAIN); /* by their number */
	assert_int_equal(pcore_ring_discard(r, 2), 0);
	assert_int_equal(put_item(r, again), 1);
	done(r);
}

static void a_dead_item_holds_its_key(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take lease = { .lease = true, .lease_ns = NS_PER_S };
	struct pcore_item item = { .data = "x", .len = 1, .key = "k", .key_len = 1 }, taken;

	(void)state;
	assert_int_equal(put_item(r, item), 1);
	assert_string_equal(get_as(r, &lease, &taken, 0), "x");
	assert_int_equal(pcore_ring_bury(r, taken.id, taken.attempt, "why", 3), 0);
	assert_int_equal(put_item(r, item), -EEXIST);
	assert_int_equal(pcore_ring_put(r, &item, 1, true, 0), 1);
	assert_string_equal(dead_after(r, 0), "");
	assert_int_equal(stat_of(r).ready, 1);
	assert_int_equal(stat_of(r).bytes, 2);
	done(r);
}

static void nobody_waits_for_the_dead(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });

	(void)state;
	bury(r, "a", "why");
	assert_int_equal(pcore_ring_join(r, 0), 0);
	assert_int_equal(pcore_ring_close(r, false), 0);
	assert_int_equal(get_error(r, in_ms(20000)), -ESHUTDOWN);
	assert_int_equal(pcore_ring_revive(r, 1), 0);
	assert_int_equal(pcore_ring_join(r, 0), -EAGAIN);
	assert_string_equal(get(r), "a");
	done(r);
}

static void delayed_items_come_when_they_are_due(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	int64_t from = pcore_now_ns();

	(void)state;
	put_item(r, (struct pcore_item){ .data = "late", .len = 4, .delay_ns = 120 * NS_PER_MS });
	put_item(r, (struct pcore_item){ .data = "soon", .len = 4, .delay_ns = 60 * NS_PER_MS });
	assert_int_equal(stat_of(r).delayed, 2);
	assert_int_equal(get_error(r, 0), -EAGAIN);
	assert_int_equal(pcore_ring_close(r, false), 0);
	assert_int_equal(get_error(r, in_ms(5000)), 1);
	assert_true(pcore_now_ns() - from >= 60 * NS_PER_MS);
	assert_int_equal(get_error(r, in_ms(5000)), 1);
	assert_true(pcore_now_ns() - from >= 120 * NS_PER_MS);
	assert_int_equal(get_error(r, in_ms(5000)), -ESHUTDOWN);
	done(r);
}

static void many_returned_items_keep_their_order(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_take lease = { .lease = true, .lease_ns = INT64_MAX };
	struct pcore_item item[500];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		put(r, "x");
	assert_int_equal(pcore_ring_get(r, item, 500, &lease, &buf, 0), 500);
	for (size_t i = 0; i < 500; i++) /* 173 and 500 have no common divisor */
		assert_int_equal(pcore_ring_nack(r, item[i * 173 % 500].id, 1, 0), 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(pcore_ring_get(r, item, 1, &gone, &buf, 0), 1);
		assert_true(item[0].id > last);
		last = item[0].id;
	}
	pcore_buf_done(&buf);
	done(r);
}

static void a_closed_ring_drains_and_ends(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });

	(void)state;
	put(r, "a");
	assert_int_equal(pcore_ring_close(r, false), 0);
	assert_int_equal(put(r, "b"), -ESHUTDOWN);
	assert_string_equal(get(r), "a");
	assert_int_equal(get_error(r, INT64_MAX), -ESHUTDOWN);
	done(r);

	r = make(&(struct pcore_ring_spec){ 0 });
	put(r, "a");
	assert_int_equal(pcore_ring_close(r, true), 0);
	assert_int_equal(get_error(r, 0), -ESHUTDOWN);
	assert_int_equal(pcore_ring_join(r, 0), 0);
	done(r);
}

static void a_look_takes_nothing(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item item;

	(void)state;
	assert_int_equal(pcore_ring_peek(r, &item, &buf), -EAGAIN);
	put(r, "a");
	assert_int_equal(pcore_ring_peek(r, &item, &buf), 1);
	assert_string_equal(item.data, "a");
	assert_int_equal(stat_of(r).ready, 1);
	assert_string_equal(get(r), "a");
	pcore_buf_done(&buf);
	done(r);
}

static void waits_end_at_the_deadline(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .max_items = 1 });
	int64_t from = pcore_now_ns();
	struct pcore_item item = { .data = "b", .len = 1 };

	(void)state;
	assert_int_equal(get_error(r, in_ms(30)), -ETIMEDOUT);
	assert_true(pcore_now_ns() - from >= 30 * NS_PER_MS);
	put(r, "a");
	from = pcore_now_ns();
	assert_int_equal(pcore_ring_put(r, &item, 1, false, in_ms(30)), -ETIMEDOUT);
	assert_true(pcore_now_ns() - from >= 30 * NS_PER_MS);
	assert_int_equal(pcore_ring_join(r, in_ms(10)), -ETIMEDOUT);
	done(r);
}

/* ---- threads ---- */

enum { THREADS = 4, EACH = 3000 };

static struct pcore_ring *shared;
static _Atomic unsigned char seen[THREADS * EACH];

static void *producer(void *arg)
{
	uint32_t first = (uint32_t)(uintptr_t)arg * EACH, v[7];
	struct pcore_item items[7];

	for (uint32_t k = 0; k < EACH;) {
		uint32_t n = k % 7 + 1 < EACH - k ? k % 7 + 1 : EACH - k;
		int put_n;

		for (uint32_t i = 0; i < n; i++) {
			v[i] = first + k + i;
			items[i] = (struct pcore_item){ .data = &v[i], .len = sizeof(v[i]) };
		}
		put_n = pcore_ring_put(shared, items, n, false, INT64_MAX);
		assert(put_n > 0);
		k += (uint32_t)put_n;
	}
	return NULL;
}

static void *consumer(void *arg)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item items[5];
	int n;

	(void)arg;
	while ((n = pcore_ring_get(shared, items, 5, &gone, &buf, INT64_MAX)) > 0) {
		for (int i = 0; i < n; i++) {
			uint32_t v;

			memcpy(&v, items[i].data, sizeof(v));
			assert(v < THREADS * EACH);
			seen[v]++;
		}
		buf.len = 0;
	}
	assert(n == -ESHUTDOWN);
	pcore_buf_done(&buf);
	return NULL;
}

static void many_threads_pass_everything_once(void **state)
{
	pthread_t p[THREADS], c[THREADS];

	(void)state;
	shared = make(&(struct pcore_ring_spec){ .max_items = 16 });
	for (uintptr_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&p[i], NULL, producer, (void *)i), 0);
		assert_int_equal(pthread_create(&c[i], NULL, consumer, NULL), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(p[i], NULL);
	assert_int_equal(pcore_ring_join(shared, in_ms(20000)), 0);
	pcore_ring_close(shared, false);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(c[i], NULL);
	for (size_t i = 0; i < THREADS * EACH; i++)
		assert_int_equal(seen[i], 1);
	done(shared);
}

static void *poller(void *arg)
{
	return (void *)(intptr_t)pcore_ring_poll(shared, arg, INT64_MAX);
}

static void a_poll_takes_nothing_and_can_be_cancelled(void **state)
{
	_Atomic bool stop = false;
	pthread_t t;
	void *result;

	(void)state;
	shared = make(&(struct pcore_ring_spec){ 0 });
	assert_int_equal(pcore_ring_poll(shared, NULL, 0), -EAGAIN);
	assert_int_equal(pcore_ring_poll(shared, NULL, in_ms(10)), -ETIMEDOUT);
	assert_int_equal(pthread_create(&t, NULL, poller, &stop), 0);
	pcore_ring_cancel(shared, &stop);
	pthread_join(t, &result);
	assert_int_equal((intptr_t)result, -ECANCELED);
	stop = false;
	assert_int_equal(pthread_create(&t, NULL, poller, &stop), 0);
	put(shared, "a");
	pthread_join(t, &result);
	assert_int_equal((intptr_t)result, 0);
	assert_string_equal(get(shared), "a");
	done(shared);
}

/* ---- files ---- */

static void *joiner(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)pcore_ring_join(shared, in_ms(20000));
}

static void *getter(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)get_error(shared, in_ms(20000));
}

/* Whether they sleep already or come later, they have to see the end. */
static void the_last_death_wakes_who_waits_for_the_end(void **state)
{
	struct pcore_take lease = { .lease = true, .lease_ns = INT64_MAX };
	struct pcore_item item;
	pthread_t join, take;
	void *result;

	(void)state;
	shared = make(&(struct pcore_ring_spec){ 0 });
	put(shared, "a");
	assert_string_equal(get_as(shared, &lease, &item, 0), "a");
	assert_int_equal(pcore_ring_close(shared, false), 0);
	assert_int_equal(pthread_create(&join, NULL, joiner, NULL), 0);
	assert_int_equal(pthread_create(&take, NULL, getter, NULL), 0);
	usleep(20000); /* most likely they sleep */
	assert_int_equal(pcore_ring_bury(shared, item.id, item.attempt, "why", 3), 0);
	pthread_join(join, &result);
	assert_int_equal((intptr_t)result, 0);
	pthread_join(take, &result);
	assert_int_equal((intptr_t)result, -ESHUTDOWN);
	done(shared);
}

static void a_ring_is_made_once_and_found_again(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ .max_items = 7, .max_bytes = 70, .order = PCORE_LIFO }), *again = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(pcore_ring_create(dfd, "r", &(struct pcore_ring_spec){ 0 }), -EEXIST);
	assert_int_equal(fstatat(dfd, "r", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_blocks * 512 >= st.st_size);
	put(r, "a");
	assert_int_equal(pcore_ring_open(&again, dfd, "r"), 0);
	assert_int_equal(stat_of(again).spec.max_items, 7);
	assert_int_equal(stat_of(again).spec.order, PCORE_LIFO);
	assert_string_equal(get(again), "a");
	pcore_ring_free(again);
	done(r);
	assert_int_equal(pcore_ring_open(&again, dfd, "r"), -ENOENT);
}

/* Change 4 bytes of the header and try to open it. */
static int open_damaged(off_t at, uint32_t value)
{
	struct pcore_ring *r = NULL;
	int fd = openat(dfd, "r", O_RDWR | O_CLOEXEC), e;
	uint32_t before;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &before, sizeof(before), at), sizeof(before));
	assert_int_equal(pwrite(fd, &value, sizeof(value), at), sizeof(value));
	e = pcore_ring_open(&r, dfd, "r");
	assert_int_equal(pwrite(fd, &before, sizeof(before), at), sizeof(before));
	close(fd);
	if (e == 0)
		pcore_ring_free(r);
	return e;
}

static void what_is_no_ring_is_not_mapped(void **state)
{
	struct pcore_ring *r = make(&(struct pcore_ring_spec){ 0 });
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(open_damaged(0, 0x12345678), -EBADMSG);
	assert_int_equal(open_damaged(8, 99), -EPROTONOSUPPORT);
	for (off_t at = 16; at < 56; at += 4)
		assert_int_equal(open_damaged(at, 0xfffffff0), -EBADMSG);
	assert_int_equal(open_damaged(4, 0), -EBADMSG);
	assert_int_equal(open_damaged(64, 0x78787878), -ESTALE);

	assert_int_equal(fstatat(dfd, "r", &st, 0), 0);
	fd = openat(dfd, "r", O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
	close(fd);
	assert_int_equal(open_damaged(0, 0x524f4350), -EBADMSG);
	pcore_ring_free(r);
	fd = openat(dfd, "r", O_RDWR | O_TRUNC | O_CLOEXEC);
	close(fd);
	assert_int_equal(pcore_ring_open(&r, dfd, "r"), -EBADMSG);
	assert_int_equal(unlinkat(dfd, "r", 0), 0);
	assert_int_equal(mkdirat(dfd, "r", 0700), 0);
	assert_int_equal(pcore_ring_open(&r, dfd, "r"), -EBADMSG);
	assert_int_equal(unlinkat(dfd, "r", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/etc/passwd", dfd, "r"), 0);
	assert_int_equal(pcore_ring_open(&r, dfd, "r"), -EBADMSG);
	assert_int_equal(unlinkat(dfd, "r", 0), 0);
}

static void no_room_on_the_disk_leaves_no_file(void **state)
{
	(void)state;
	assert_int_equal(pcore_fault_set("fallocate:1:ENOSPC"), 0);
	assert_int_equal(pcore_ring_create(dfd, "r", &(struct pcore_ring_spec){ 0 }), -ENOSPC);
	assert_int_equal(pcore_fault_set(NULL), 0);
	assert_int_equal(unlinkat(dfd, "r", 0), -1);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(items_come_out_as_they_went_in),
		TEST(a_stack_gives_the_newest_first),
		TEST(priorities_come_in_order_and_ties_as_they_were_put),
		TEST(every_length_comes_back_whole),
		TEST(a_batch_is_put_and_taken_in_order),
		TEST(a_batch_ends_where_its_bytes_do),
		TEST(the_limits_are_exact),
		TEST(the_worst_mix_of_sizes_fits),
		TEST(limits_that_make_no_sense_are_refused),
		TEST(a_key_is_in_use_until_its_item_is_gone),
		TEST(a_lease_ends_by_ack_nack_or_time),
		TEST(a_touch_gives_a_lease_its_time_again),
		TEST(an_untaken_item_was_never_leased),
		TEST(a_buried_item_is_dead_until_it_is_revived_or_dropped),
		TEST(a_reason_is_kept_behind_an_item_of_every_length),
		TEST(dead_items_take_room_and_their_reasons_are_cut_to_what_there_is),
		TEST(a_dead_item_holds_its_key),
		TEST(nobody_waits_for_the_dead),
		TEST(delayed_items_come_when_they_are_due),
		TEST(many_returned_items_keep_their_order),
		TEST(a_closed_ring_drains_and_ends),
		TEST(a_look_takes_nothing),
		TEST(waits_end_at_the_deadline),
		TEST(many_threads_pass_everything_once),
		TEST(a_poll_takes_nothing_and_can_be_cancelled),
		TEST(the_last_death_wakes_who_waits_for_the_end),
		TEST(a_ring_is_made_once_and_found_again),
		TEST(what_is_no_ring_is_not_mapped),
		TEST(no_room_on_the_disk_leaves_no_file),
	};
	int r;

	if (!mkdtemp(dir))
		return 1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = RUN_TESTS(tests);
	close(dfd);
	return rmdir(dir) < 0 ? 1 : r;
}
