# SPDX-License-Identifier: MIT
# ppool_call.bats - ppool call as its manual page describes it.
# shellcheck shell=bash disable=SC2154,SC2086

load support

# The functions: in the page's example, and what the tests need.
setup_file() {
	top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_FILE_TMPDIR" || return
	sed -n '/^\.\\" example: square/,/^\.Ed/p' "$top/man/ppool.1" | grep -v '^\.' | sed 's/\\e/\\/g' >square.c
	cat square.c - >f.c <<-'CODE'
	#include <fcntl.h>
	#include <stdio.h>
	#include <unistd.h>

	int same(const void *item, size_t size, struct pcore_out *out)
	{
		if (pcore_out_write(out, item, size) < 0)
			return 1;
		return pcore_out_write(out, "\n", 1) < 0;
	}

	/* Goes on when there is a file NAME.go; NAME is there as long as it waits. */
	int wait_for_go(const void *item, size_t size, struct pcore_out *out)
	{
		char go[32];

		(void)snprintf(go, sizeof(go), "%.*s.go", (int)size, (const char *)item);
		(void)pcore_out_write(out, item, size);
		go[size] = 0;
		(void)close(creat(go, 0600));
		go[size] = '.';
		while (access(go, F_OK) < 0)
			usleep(1000);
		go[size] = 0;
		return unlink(go) < 0;
	}

	/* What some items ask for, then the same. */
	int moody(const void *item, size_t size, struct pcore_out *out)
	{
		static const char zeros[1 << 20];
		char text[16] = "";

		memcpy(text, item, size < sizeof(text) ? size : sizeof(text) - 1);
		if (!strcmp(text, "crash"))
			abort();
		if (!strcmp(text, "exit"))
			_exit(0);
		if (!strcmp(text, "hang")) {
			(void)close(creat("hanging", 0600));
			pause();
		}
		if (!strcmp(text, "minus"))
			return -3;
		if (!strcmp(text, "print")) {
			puts("by itself");
			fflush(stdout);
		}
		if (!strcmp(text, "much"))
			for (int i = 0; i < 65; i++)
				if (pcore_out_write(out, zeros, sizeof(zeros)) < 0)
					return 0;
		return same(item, size, out) ? 1 : !strcmp(text, "fail") ? 7 : 0;
	}
	CODE
	${CC:-gcc} -O2 -Wall -Wextra -Werror -fPIC -shared -I"$top/libcore/include" -o square.so square.c
	${CC:-gcc} -O2 -Wall -Wextra -Werror -fPIC -shared -I"$top/libcore/include" -o f.so f.c
}

setup() {
	common_setup
	ln -s "$BATS_FILE_TMPDIR"/*.so .
}
teardown() { common_teardown; }

call() { timeout -k 5 60 ppool call "$@"; }

@test "call maps a function over items, in threads and in processes" {
	for how in --threads --processes -j1 -j3; do
		run -0 call $how square.so:square ::: 1 7 8 -2
		[ "$output" = $'1\n49\n64\n4' ]
		seq 30000 | call $how f.so:same | cmp - <(seq 30000)
		printf 'a\n\nb' | call $how f.so:same | cmp - <(printf 'a\n\nb\n')
		printf 'a\0\n\0' | call $how -0 "$PWD/f.so:same" | cmp - <(printf 'a\n\n\n')
		printf 'a\0bXX' | call $how -d X f.so:same | cmp - <(printf 'a\0b\n\n')
		run -0 call $how f.so:same </dev/null
		[ -z "$output" ]
		run -0 call $how --tag f.so:same ::: a b ::: 1 2
		[ "$output" = $'a 1\ta 1\na 2\ta 2\nb 1\tb 1\nb 2\tb 2' ] || [ "$how" = --processes ]
	done
	seq 10000 | call --unordered f.so:same | sort -n | cmp - <(seq 10000)
	seq 100 | call --skip-lines 10 --max 5 -v f.so:same 2>shown | cmp - <(seq 11 15)
	[ "$(head -n 1 shown)" = "f.so:same 11" ]
	head -c 1048577 /dev/zero | tr '\0' x >long
	run -125 --separate-stderr call f.so:same <long
	[[ $stderr == *"item 1 is longer than 1048576 bytes"* ]]
	head -c 1048576 /dev/zero | tr '\0' x | call f.so:same | cmp -n 1048576 - long
}

@test "the first call begins when its item is there" {
	mkfifo in out
	call f.so:same <in >out &
	exec 8>in 9<out
	for i in 1 2 3; do
		echo $i >&8
		read -r -t 20 line <&9
		[ "$line" = $i ]
	done
	exec 8>&-
	ends 0 $!
}

@test "a call that fails is told by status, log, halt and retry" {
	for how in --threads --processes; do
		run -1 call $how --log log f.so:moody ::: a fail minus b
		[ "$output" = $'a\nfail\nb' ]
		[ "$(cut -f 1,7,8,9 log)" = $'Seq\tExitval\tSignal\tCommand\n1\t0\t0\tf.so:moody a\n2\t7\t0\tf.so:moody fail\n3\t1\t0\tf.so:moody minus\n4\t0\t0\tf.so:moody b' ] ||
			[ "$(sort -n log | cut -f 1,7,9)" = $'Seq\tExitval\tCommand\n1\t0\tf.so:moody a\n2\t7\tf.so:moody fail\n3\t1\tf.so:moody minus\n4\t0\tf.so:moody b' ]
		run -1 call $how --log log --resume-failed f.so:moody ::: a fail minus b
		[ "$output" = fail ]
		run -7 call $how -j1 --halt now,fail=1 f.so:moody ::: a fail b
		run -1 call $how --retry 2 --log log f.so:moody ::: fail
		[ "$(grep -c $'\t7\t' log)" = 1 ]
		run -1 call $how f.so:moody < <(echo fail; seq 5000)
		[ "${#lines[@]}" = 5001 ]
		run -1 call $how f.so:moody ::: much
	done
	run -0 call --results r f.so:same ::: q
	[ "$(cat r/1/stdout r/1/status)" = $'q\n0' ]
}

@test "a crash in a process costs its item only" {
	run -1 --separate-stderr call --processes -j2 f.so:moody < <(seq 300; echo crash; seq 300; echo exit; seq 300)
	[ "$output" = "$(seq 300; seq 300; seq 300)" ]
	[[ $stderr == *"died of SIGABRT before it had answered item 301"* ]]
	[[ $stderr == *"ended with status 0 before it had answered item 602"* ]]
	run -1 --separate-stderr call --processes --timeout 300ms f.so:moody ::: hang
	[[ $stderr == *"has not answered item 1 within 300ms"* ]]
	run -0 --separate-stderr call --processes f.so:moody ::: print
	[ "$output" = print ]
	[ "$stderr" = "by itself" ]
	run -134 call --threads f.so:moody ::: crash
}

@test "a signal, a reader that leaves, a full disk end it" {
	run -141 bash -c 'yes | ppool call f.so:same | head -n 1 >/dev/null; exit "${PIPESTATUS[1]}"'
	run -125 bash -c 'seq 10 | ppool call f.so:same >/dev/full'
	[[ $output == "ppool: cannot write to standard output: No space left on device" ]]
	ppool call -j1 f.so:moody ::: hang >out &
	pid=$!
	wait_for 20 exists hanging
	grep -qx call-1 /proc/$pid/task/*/comm
	kill -TERM $pid
	wait_for 20 none_pending $pid

	kill -TERM $pid
	ends 143 $pid
}

waiting() {
	[ "$(find . -name 'w[0-9]' | wc -l)" = "$1" ]
}

@test "USR1 adds a thread and USR2 takes one, with blocks of items and without" {
	printf 'w%d\n' 1 2 3 4 5 >items
	for words in './f.so:wait_for_go ::: w1 w2 w3 w4 w5' '-a items ./f.so:wait_for_go'; do
		ppool call -j1 $words 3>&- &
		wait_for 5 waiting 1
		kill -USR1 $!
		wait_for 5 waiting 2
		kill -USR1 $!
		wait_for 5 waiting 3
		[ "$(sort /proc/$!/task/*/comm | grep ^call | paste -s)" = $'call-1\tcall-2\tcall-3' ]
		kill -USR2 $!
		wait_for 5 none_pending $!
		touch w1.go
		wait_for 5 waiting 2
		touch w2.go
		wait_for 5 exists w4
		touch w3.go w4.go w5.go
		ends 0 $!
		rm w*.go
	done
}

@test "what cannot be called is told before an item is read" {
	run -127 --separate-stderr call none.so:f ::: a
	[ "$stderr" = "ppool: cannot load 'none.so': No such file or directory" ]
	run -127 --separate-stderr call f.so:none ::: a
	[ "$stderr" = "ppool: there is no function 'none' in '$(realpath f.so)'" ]
	echo text >text.so
	run -126 --separate-stderr call --processes text.so:f ::: a
	[[ $stderr == "ppool: cannot load '$PWD/text.so': "* ]]
	for word in f.so f.so: :same; do
		run -125 --separate-stderr call "$word" ::: a
		[ "${stderr_lines[0]}" = "ppool: '$word' names no function: it must be LIB.so:SYMBOL" ]
	done
	while read -r options why; do
		# shellcheck disable=SC2086 # words
		run -125 --separate-stderr call $options f.so:same ::: a
		[[ ${stderr_lines[0]} == *"$why"* ]] || { echo "$options: $stderr"; return 1; }
		[ -z "$output" ]
	done <<-'LIST'
	--threads=x --threads
	--processes=x --processes
	--timeout=1 --timeout is for processes
	--chdir=/ --chdir is for processes
	--nice=1 --nice is for processes
	--env=A=b --env is for processes
	--limit=core=0 --limit is for processes
	--shell --shell does not go with call
	--raw --raw does not go with call
	--fill --fill does not go with call
	-n2 -n does not go with call
	--pipe unknown option '--pipe'
	--worker unknown option '--worker'
	LIST
	run -125 --separate-stderr call --threads --processes f.so:same ::: a
	[[ $stderr == *"exclude each other"* ]]
	run -125 --separate-stderr call --processes --dry-run f.so:same ::: a
	[[ $stderr == *"--dry-run does not go with --processes"* ]]
	run -125 --separate-stderr call f.so:same x ::: a
	[[ $stderr == *"what is 'x'?"* ]]
	run -125 --separate-stderr call 'f.so:{}' ::: a
	[[ $stderr == *"a function has no placeholders"* ]]
	run -0 call --dry-run f.so:same ::: a
	[ "$output" = "f.so:same a" ]
}
