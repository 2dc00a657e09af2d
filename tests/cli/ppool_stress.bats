# SPDX-License-Identifier: MIT
# ppool_stress.bats - what breaks tools that run jobs in parallel: the stress list of parallel_alternatives(7), full disks,
# few descriptors, closed ones, deaths at any moment; and real work, compared byte for byte with what one process makes.
# sanitizers: no
# shellcheck shell=bash disable=SC2016,SC1083,SC2086,SC2154,SC2030,SC2031,SC2013,SC2012

load support

setup() {
	common_setup
	ulimit -c 0
}
teardown() { common_teardown; }

# As many bytes of this one character, without a newline.
chars() { head -c "$2" /dev/zero | tr '\0' "$1"; }

# small_tmp COMMAND...: with 1 MiB in TMPDIR, in a mount namespace of its own
small_tmp() {
	need_root
	mkdir -p small
	unshare -m sh -c 'mount -t tmpfs -o size=1M pcore-test small && export TMPDIR=$PWD/small && exec "$@"' sh "$@"
}

# few_fds N COMMAND...: with descriptors 0, 1 and 2 only, and room for N in all
few_fds() {
	local n=$1
	shift
	perl -e 'use POSIX; POSIX::close($_) for 3 .. 255; exec @ARGV' prlimit --nofile="$n:$n" timeout -k 5 30 "$@"
}

# ---- the list

@test "MIX: large outputs of many jobs never mix, on either stream" {
	cat >job <<-'SCRIPT'
	#!/usr/bin/perl
	$| = 1;
	for my $c ("a" .. "f") { print {$c =~ /[ace]/ ? *STDOUT : *STDERR} $c x 100000, " " }
	print STDOUT "\n";
	print STDERR "\n";
	SCRIPT
	chmod +x job
	for options in '' '--unordered --buffer 64K'; do
		seq 20 | ppool map -j20 $options ./job > >(tr -s a-f >out; : >out.end) 2> >(tr -s a-f >err; : >err.end)
		wait_for 5 exists out.end && wait_for 5 exists err.end
		[ "$(uniq -c out | xargs)" = "20 a c e" ]
		[ "$(uniq -c err | xargs)" = "20 b d f" ]
		rm out.end err.end
	done
}

@test "STDERRMERGE: the two streams of a job are not merged" {
	run -0 --separate-stderr ppool map --shell 'echo out; echo err >&2; echo out; echo err >&2; : {}' ::: ''
	[ "$output" = $'out\nout' ]
	[ "$stderr" = $'err\nerr' ]
}

@test "RAM: far more output than --buffer takes no memory" {
	cat >peak <<-'SCRIPT'
	#!/bin/sh
	# the peak of ppool, whose last job this is
	sed -n 's/VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$PPID/status >peak.kib
	SCRIPT
	chmod +x peak
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0
	[ "$(seq 5 | ppool map -j4 --buffer 1M --shell 'test {} = 5 && exec ./peak; yes ccccccc | head -c 10M' | wc -c)" = $((4 * 10 * 1048576)) ]
	[ -s peak.kib ] || skip "the job's parent is not ppool"
	case $PCORE_BUILD in */asan) ceiling=200000 ;; *) ceiling=12000 ;; esac
	[ "$(cat peak.kib)" -lt $ceiling ]
}

@test "DISKFULL: a full TMPDIR is told once, and every byte comes all the same" {
	seq 16 >items
	job='head -c 200000 /dev/zero | tr "\0" x; echo {}'
	want=$(while read -r i; do chars x 200000; echo "$i"; done <items | cksum)
	for options in '' '--unordered -j1' '--live -j1' '--retry 1' '--worker'; do
		command=(--shell "$job")
		[ "$options" != --worker ] || command=(perl -ne 'BEGIN { $| = 1 } print "x" x 200000, $_')
		run -0 --separate-stderr small_tmp timeout -k 5 60 sh -c 'ppool map -a items -j4 --buffer 64K "$@" >out' sh $options "${command[@]}"
		[ "$(cksum <out)" = "$want" ]
		[ "${#stderr_lines[@]}" -le 1 ] # how far the disk is filled depends on who is fast
	done
}

@test "--live goes on after a line that is longer than --buffer" {
	run -0 timeout -k 5 20 sh -c 'ppool map -j1 --live --buffer 64K --shell "head -c 3000000 /dev/zero; : {}" ::: 1 2 3 | wc -c'
	[ "$output" = 9000000 ]
}

@test "CLEANUP: a ppool that is killed leaves nothing in TMPDIR" {
	mkdir tmp
	TMPDIR=$PWD/tmp ppool map -j4 --buffer 64K --results r.json --shell 'head -c 1M /dev/zero; touch begun{}; sleep 70' ::: 1 2 3 4 3>&- &
	for i in 1 2 3 4; do wait_for 10 exists begun$i; done
	kill -KILL $!
	ends 137 $!
	[ -z "$(ls -A tmp)" ]
	wait_for 5 nothing_left
}

@test "SPCCHAR: a file with quotes, blanks, a star and a dollar in its name" {
	name="My brother's 12\" *** record  (costs \$\$\$).jpg"
	touch "$name"
	for options in '' --shell; do
		[ "$(find . -name '*.jpg' -printf '%f\n' | ppool map $options ls)" = "$name" ]
	done
	[ "$(find . -name '*.jpg' -printf '%f\n' | ppool map --shell ls {} '&&' echo {/.})" = "$name"$'\n'"${name%.jpg}" ]
}

@test "COMPOSED, ONEREP: several commands, and the item several times" {
	run -0 sh -c 'echo bar | ppool map --shell "echo foo; echo {}"'
	[ "$output" = $'foo\nbar' ]
	run -0 sh -c 'echo bar | ppool map echo {} foo {}'
	[ "$output" = "bar foo bar" ]
}

@test "INPUTSIZE: items of every length up to the kernel's limit arrive whole, and longer ones reach a worker" {
	for n in 4095 4096 65535 65536 131000 131071; do chars x $n; echo; done >in
	[ "$(ppool map -j2 -a in sh -c 'echo ${#1}' sh | xargs)" = "4095 4096 65535 65536 131000 131071" ]
	[ "$(ppool map -a in echo | cksum)" = "$(cksum <in)" ]
	{ chars x 1000000; echo; cat in; } >long
	[ "$(ppool map -j2 -a long --worker cat | cksum)" = "$(cksum <long)" ]
}

@test "NUMWORDS: lines of a thousand words cost no more than their bytes" {
	line=$(seq -s ' ' 1000)
	run -0 timeout 20 sh -c 'seq 10 | ppool map -j10 --tag sh -c "yes \"\$0\" | head -n 300" "$1" | cut -f 2- | sort -u | wc -lw' sh "$line"
	[ "$(xargs <<<"$output")" = "1 1000" ]
}

@test "a line of 40 MB is one line (4GB, made smaller)" {
	run -0 sh -c 'ppool map perl -e "\$a = q(a) x 1000000; print \$a for 1 .. 40" ::: 1 | wc -lc'
	[ "$(xargs <<<"$output")" = "0 40000000" ]
}

# ---- full disks, few descriptors, closed ones

@test "results that do not fit in TMPDIR are not blamed on the file they go to" {
	run -125 --separate-stderr small_tmp timeout -k 5 30 ppool map -j1 --results r.json --shell 'head -c 3000000 /dev/zero; : {}' ::: 1 2
	[ "$stderr" = "ppool: cannot hold results in '$PWD/small': No space left on device" ]
	[ ! -s r.json ]
}

@test "with 22 descriptors --log, --on-error, workers and columns work, and with 26 --results" {
	seq 12 >in
	for options in '22 --log l' '22 --log-json l' '22 --on-error true' '22 --live' '26 --results d' '26 --results r.json' '26 --results r.csv'; do
		run -0 --separate-stderr few_fds ${options%% *} ppool map -j8 ${options#* } --shell 'sleep 0.01; echo {}' <in
		[ "${#stderr_lines[@]}" = 1 ]
		[[ "$options" == *--results* ]] || [ "$output" = "$(cat in)" ]
	done
	[ "$(cat d/*/stdout | sort -n)" = "$(cat in)" ]
	[ "$(wc -l <r.json)" = 12 ]
	[ "$(grep -c '^[0-9]' r.csv)" = 12 ]
	for options in '' --pty; do
		run -0 --separate-stderr few_fds 22 ppool map -j8 $options -a in --worker cat
		[ "$output" = "$(cat in)" ]
	done
	run -0 --separate-stderr few_fds 22 ppool starmap -j8 -a in echo {1}
	[ "$output" = "$(cat in)" ]
}

@test "however few descriptors there are, a run ends, and says what was missing" {
	for n in 8 12 16 18 20; do
		for options in '--results d' '--log l --results r.csv' --worker; do
			run --separate-stderr few_fds $n ppool map -j2 $options cat ::: /dev/null nowhere
			[[ $status = [01] || $status = 12[57] ]] || { echo "$n $options: $status $stderr"; return 1; }
			[ "$status" = 0 ] || [ -n "$stderr" ]
		done
	done
}

@test "--on-error commands wait for descriptors that jobs will give back" {
	seq 20 >in
	run -1 --separate-stderr few_fds 24 ppool map -j8 -a in --on-error 'echo "bad $1" >>told' --shell 'exit 1; : {}'
	[ "$(sort -k2n told)" = "$(sed 's/^/bad /' in)" ]
	[[ "$stderr" != *"--on-error command"* ]]
}

@test "closed descriptors: output that has nowhere to go is an error, and no file of ours takes their place" {
	echo x >f
	for options in '--log l' '--log-json l' '--results d' '--results d.json' --worker '--on-error true'; do
		for closed in '<&-' '>&-' '<&- 2>&-' '<&- >&- 2>&-'; do
			want=0
			[[ " $closed" != *" >&-"* || "$options" == --results* ]] || want=125
			rm -rf l d d.json
			run -$want sh -c "timeout 10 ppool map $options cat ::: f f $closed"
			[[ "$options" != --results* ]] || [ -z "$output" ]
			[[ "$options" != "--log l" || $want != 0 ]] || [ "$(wc -l <l)" = 3 ]
			[[ "$options" != "--log-json l" || $want != 0 ]] || [ "$(wc -l <l)" = 2 ]
			[[ "$options" != "--results d" ]] || [ "$(cat d/1/status d/2/status | xargs)" = "0 0" ]
		done
	done
	run -125 sh -c 'timeout 10 ppool starmap echo <&-'
	[[ "$output" == "ppool: "*"Bad file descriptor" ]]
	run -125 sh -c 'timeout 10 ppool map --pipe cat <&-'
	[[ "$output" == "ppool: "*"Bad file descriptor" ]]
	run -125 sh -c 'echo a | timeout 10 ppool map --pipe cat >&-'
	[[ "$output" == "ppool: cannot write to standard output: Bad file descriptor" ]]
}

# ---- deaths

@test "runs that are killed again and again and resumed have run everything" {
	seq 120 >in
	for i in 1 2 3 4; do
		ppool map -j3 -a in --log log --resume --results d echo 3>&- &
		wait_for 10 lines_are log $((i * 20)) || true
		kill -KILL $! 2>/dev/null || true
		wait $! || true
	done
	run -0 ppool map -j3 -a in --log log --resume --results d echo
	[ "$(tail -n +2 log | cut -f 1 | sort -n)" = "$(cat in)" ]
	[ "$(for i in $(cat in); do cat d/$i/stdout; done)" = "$(cat in)" ]
	wait_for 5 nothing_left
}

@test "jobs that kill themselves in all ways harm only themselves" {
	seq 60 >in
	run -1 --separate-stderr ppool map -j6 -a in --log log --shell 'echo {}; case $((PCORE_SEQ % 6)) in
		0) kill -KILL $$ ;; 1) kill -SEGV $$ ;; 2) exec 1>&- 2>&-; kill -KILL 0 ;; 3) exit 255 ;; esac'
	[ "$output" = "$(cat in)" ]
	[ "$(tail -n +2 log | cut -f 7,8 | sort | uniq -c | awk '{ print $1, $2, $3 }' | sort | xargs)" = "10 0 11 10 255 0 20 0 0 20 0 9" ]
	leaves_nothing
}

@test "a worker that is killed under --frames and --lines loses one item only" {
	seq 200 >in
	for form in '--frames' '--lines 2' '--lines until:.'; do
		rm -f died
		cat >worker.pl <<-'PERL'
		$| = 1;
		my ($form) = @ARGV;
		for (;;) {
			my $item;
			if ($form eq 'frames') { read(STDIN, my $h, 4) == 4 or exit; read STDIN, $item, unpack 'N', $h }
			else { defined($item = <STDIN>) or exit; chomp $item }
			if ($item == 77 && !-e 'died') { open my $f, '>', 'died'; kill 'KILL', $$ }
			print $form eq 'frames' ? pack('N/a*', "$item\n") : $form eq '2' ? "$item\n$item\n" : "$item\n.\n";
		}
		PERL
		word=${form##*[- ]}
		run -0 --separate-stderr timeout -k 5 30 ppool map -j2 -a in --retry 1 --retry-delay 0 $form --worker perl worker.pl "$word"
		[ "$(uniq <<<"$output")" = "$(cat in)" ]
		[[ "$stderr" == *"died of SIGKILL before it had answered item 77" ]]
	done
}

# ---- what a pool has to get right

@test "an item one byte too long for the kernel is status 126 in the log, and the others run" {
	{ echo a; chars x 131072; echo; echo b; } >in
	run -1 --separate-stderr ppool map -a in --log log echo
	[ "$output" = $'a\nb' ]
	[ "$(tail -n +2 log | sort -n | cut -f 1,7,8 | xargs)" = "1 0 0 2 126 0 3 0 0" ]
	[[ "$stderr" == *"Argument list too long" ]]
}

@test "more failures than a status can count are status 1, not 0" {
	for n in 100 256; do
		run -1 sh -c "seq $n | ppool map -n 1 false"
	done
}

@test "a time-out is -1 and its signal in the log, also when the job is stopped or does not listen" {
	run -1 ppool map -j4 --timeout 1.5 --kill-after 0.2 --log log sh -c ::: 'sleep 30' 'kill -STOP $$' 'trap "" TERM; sleep 30; sleep 30' 'exit 0'
	[ "$(tail -n +2 log | sort -n | cut -f 1,7,8 | xargs)" = "1 -1 15 2 -1 15 3 -1 9 4 0 0" ]
}

@test "with -a FILE the jobs' standard input is empty as well" {
	printf '1\n2\n' >in
	run -0 sh -c 'echo hello | ppool map -a in sh -c "echo {}; cat"'
	[ "$output" = $'1\n2' ]
}

@test "an ordered run whose first job is slow stays within --buffer, with descriptors constant" {
	cat >job <<-'SCRIPT'
	#!/bin/sh
	[ $PCORE_SEQ != 1 ] || { i=0; while [ ! -e last ] && [ $i -lt 2000 ]; do sleep 0.02; i=$((i + 1)); done; }
	printf '%s\n' "$@"
	case $PCORE_SEQ in 20 | 240)
		sed -n 's/VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/$PPID/status >rss.$PCORE_SEQ
		ls /proc/$PPID/fd | wc -l >fds.$PCORE_SEQ ;;
	esac
	[ $PCORE_SEQ != 250 ] || : >last
	SCRIPT
	chmod +x job
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0
	seq 1000000 1099999 >in
	ppool map -j2 -n 400 --buffer 256K -a in ./job | cmp - in
	[ -s rss.240 ] || skip "the job's parent is not ppool"
	[ "$(cat fds.240)" -le $(($(cat fds.20) + 4)) ]
	[ "$(cat rss.240)" -le $(($(cat rss.20) + 256 + 512)) ]
	case $PCORE_BUILD in */asan) ;; *) [ "$(cat rss.240)" -le $((256 + 8 * 1024)) ] ;; esac
}

# ---- real work

@test "this project's C files, compiled at the same time, are the object files that one compiler makes" {
	command -v cc >/dev/null || skip "needs a C compiler"
	root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	mkdir one many
	cd "$root"
	for f in libcore/base/*.c; do
		o=${f##*/}
		cc -std=gnu17 -D_GNU_SOURCE -I. -O0 -c -o "$BATS_TEST_TMPDIR/one/${o%.c}.o" "$f"
	done
	run -0 ppool map -j4 cc -std=gnu17 -D_GNU_SOURCE -I. -O0 -c -o "$BATS_TEST_TMPDIR/many/{/.}.o" {} ::: libcore/base/*.c
	[ -z "$output" ]
	cd "$BATS_TEST_TMPDIR"
	[ "$(ls many | wc -l)" -gt 5 ]
	diff -r one many
	echo 'int x = ;' >bad.c
	run -1 ppool map cc -c -o {.}.o {} ::: bad.c
	[[ "$output" == *bad.c* ]]
}

@test "checksums of a tree are those of one sha256sum, whatever way the files are shared out" {
	root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	find "$root/libcore/base" "$root/libcore/loop" "$root/man" -type f -print0 | sort -z >files
	xargs -0 sha256sum <files >want
	for options in '' '-n 7' --fill; do
		ppool map -0 -j4 $options -a files sha256sum | cmp - want
	done
	ppool map -0 -j2 -a files --frames --worker perl -e '$| = 1; while (read(STDIN, my $h, 4) == 4) {
		read STDIN, my $f, unpack "N", $h; my $s = `sha256sum "$f"`; print pack("N/a*", $s) }' | cmp - want
	run -0 ppool map -j2 --pipe --block 4K sha256sum --check --quiet <want
	[ -z "$output" ]
}

@test "a table of a spreadsheet is changed as Python changes it, by starmap --csv and by --pipe --csv" {
	cat >table.py <<-'PYTHON'
	import csv, random, sys
	random.seed(7)
	bits = ['', 'plain', 'a, b', 'say "hi"', 'two\nlines', 'crlf\r\ninside', '\xe4\xf6\xfc', "it's", '{1}', '-n', '  blanks  ', '*', '$HOME', '\\', '=1+2']
	out = csv.writer(sys.stdout, lineterminator='\r\n')
	out.writerow(['id', 'Full Name', 'note, long'])
	for i in range(int(sys.argv[1])):
	    out.writerow([i, random.choice(bits), random.choice(bits) + random.choice(bits)])
	PYTHON
	cat >change.py <<-'PYTHON'
	import csv, io, sys
	inp = csv.reader(io.TextIOWrapper(sys.stdin.buffer, 'utf-8', newline=''))
	out = csv.writer(io.TextIOWrapper(sys.stdout.buffer, 'utf-8', newline=''), lineterminator='\r\n')
	rows = list(inp)
	for r in rows[1:]:
	    out.writerow([r[2].upper(), r[1], int(r[0]) * 2])
	PYTHON
	cat >records.py <<-'PYTHON'
	import csv, io, sys
	for r in list(csv.reader(io.TextIOWrapper(sys.stdin.buffer, 'utf-8', newline='')))[1:]:
	    sys.stdout.buffer.write('|'.join([r[2], r[0], r[1], r[-1]]).encode() + b'\0')
	PYTHON
	PYTHONIOENCODING=utf-8 python3 -X utf8 table.py 60 >small.csv
	python3 records.py <small.csv >want
	ppool starmap --csv --header -j3 -a small.csv printf '%s|%s|%s|%s\0' '{note, long}' {id} '{Full Name}' {-1} | cmp - want
	PYTHONIOENCODING=utf-8 python3 -X utf8 table.py 4000 >large.csv
	python3 change.py <large.csv >want
	for source in '-a large.csv' ''; do
		ppool map --pipe --csv --csv-header --block 20K -j3 $source python3 change.py <large.csv | cmp - want
	done
}
