# SPDX-License-Identifier: MIT
# ppool_pipe.bats - ppool map --pipe, as the section Blocks of the manual page describes it.
# shellcheck shell=bash disable=SC2016,SC1083,SC1003,SC2154,SC2030,SC2031

load support

setup() {
	common_setup
	make_await
}
teardown() { common_teardown; }

# blocks INPUT ARGS...: what each job reads of INPUT (printf's format), as one line `<...>` a block, newlines as /
blocks() {
	local input=$1
	shift
	# shellcheck disable=SC2059
	printf "$input" | ppool map --pipe "$@" sh -c 'tr "\n" / | sed "s/.*/<&>/"; echo'
}

# the same from a file, whose ranges the jobs get
file_blocks() {
	# shellcheck disable=SC2059
	printf "$1" >in
	shift
	ppool map --pipe -a in "$@" sh -c 'tr "\n" / | sed "s/.*/<&>/"; echo'
}

make_input() { seq 100000 >in; } # 588895 bytes

is_input() { [ "$1" = "$(md5sum <in)" ]; }

# ---- usage

@test "options of --pipe need it" {
	local option
	for option in --block=1 --records=1 --recend=x --recstart=x --regex --csv-header --round-robin; do
		run -125 --separate-stderr ppool map "$option" touch ran ::: a
		[[ "${stderr_lines[0]}" == "ppool: ${option%%=*} needs --pipe" ]]
	done
	[ ! -e ran ]
}

@test "bad values are refused and named" {
	refuses ppool map --pipe -- --block 0 -1 x 1Q ''
	refuses ppool map --pipe -- --records 0 -1 x 1.5
	refuses ppool map --pipe -- --recend '\q' '\x1' '\xgg' 'a\'
	refuses ppool map --pipe -- --recstart '\q' '\x1'
	refuses ppool map --pipe --regex -- --recend '(' '[a' '\0' '\x00'
	refuses ppool map --pipe -- --delimiter ab
	run -125 ppool map --pipe --recend '' cat
	[[ "${lines[0]}" == *--recend* ]]
}

@test "what makes no sense together is refused" {
	local options
	for options in '-n 2' --tag --dry-run '--recend x -0' '--recend x -d ,' '--csv -0' '--csv -d ,' '--csv --recend x' \
		'--csv --recstart x' --regex '--csv --regex' '--round-robin --retry 1'; do
		# shellcheck disable=SC2086
		run -125 --separate-stderr ppool map --pipe $options touch ran </dev/null
		[[ "$stderr" == *"try 'ppool --help'"* ]] || { echo "$options: $stderr"; return 1; }
	done
	run -125 ppool map --pipe touch ran ::: a
	[[ "${lines[0]}" == *:::* ]]
	[ ! -e ran ]
}

@test "{} is refused, {#} and {%} work, and nothing is appended" {
	run -125 ppool map --pipe touch ran {} </dev/null
	[[ "${lines[0]}" == *placeholder* ]]
	run -125 ppool map --pipe --shell 'touch {/.}' </dev/null
	run -0 sh -c 'seq 3 | ppool map --pipe --records 1 -j1 echo a{#} {%}'
	[ "$output" = $'a1 1\na2 1\na3 1' ]
	run -0 sh -c 'seq 3 | ppool map --pipe --records 2 -j1 --shell "echo {#} \$PCORE_SEQ; cat"'
	[ "$output" = $'1 1\n1\n2\n2 2\n3' ]
}

# ---- blocks

@test "the blocks together are the input, from a pipe and from a file" {
	make_input
	for options in '' '--block 10000' '--block 700K' '--records 20000' '--records 9000 --block 100000' \
		'--recend 7\n --block 64K' '--recstart 99 --block 90K' '--regex --recend [05]\n --block 300K' '--csv --block 250K'; do
		# shellcheck disable=SC2086
		is_input "$(cat in | ppool map --pipe $options cat | md5sum)" || { echo "pipe $options"; return 1; }
		# shellcheck disable=SC2086
		is_input "$(ppool map --pipe $options cat <in | md5sum)" || { echo "stdin $options"; return 1; }
		# shellcheck disable=SC2086
		is_input "$(ppool map --pipe -a in $options cat | md5sum)" || { echo "-a $options"; return 1; }
	done
}

@test "a block is as many whole records as fit" {
	run -0 blocks 'aa\nbb\ncc\ndd\n' --block 7
	[ "$output" = $'<aa/bb/>\n<cc/dd/>' ]
	run -0 file_blocks 'aa\nbb\ncc\ndd\n' --block 7
	[ "$output" = $'<aa/bb/>\n<cc/dd/>' ]
	run -0 file_blocks 'aa\nbb\ncc\n' --block 3
	[ "$output" = $'<aa/>\n<bb/>\n<cc/>' ]
}

@test "a record that is longer than a block is one of its own" {
	run -0 blocks 'a\nlonglonglong\nb\nc\n' --block 5
	[ "$output" = $'<a/>\n<longlonglong/>\n<b/c/>' ]
	run -0 file_blocks 'a\nlonglonglong\nb\nc\n' --block 5
	[ "$output" = $'<a/>\n<longlonglong/>\n<b/c/>' ]
	head -c 5000000 /dev/zero >in
	run -0 sh -c 'cat in | ppool map --pipe wc -c'
	[ "$output" = 5000000 ]
	run -0 ppool map --pipe -a in wc -c
	[ "$output" = 5000000 ]
}

@test "--records counts, and --block with it comes first or not" {
	run -0 blocks '1\n2\n3\n4\n5\n6\n7\n' --records 3
	[ "$output" = $'<1/2/3/>\n<4/5/6/>\n<7/>' ]
	run -0 blocks '1\n2\n33333\n4\n5\n' --records 2 --block 6
	[ "$output" = $'<1/2/>\n<33333/>\n<4/5/>' ]
	run -0 file_blocks '1\n2\n3\n' --records 2
	[ "$output" = $'<1/2/>\n<3/>' ]
	run -0 sh -c 'seq 400000 | ppool map --pipe --records 400000 wc -c'
	[ "$output" = 2688895 ]
}

@test "the last record needs no end and gets none" {
	run -0 blocks '1\n2\n3' --records 2
	[ "$output" = $'<1/2/>\n<3>' ]
	run -0 file_blocks '1\n2' --block 100
	[ "$output" = '<1/2>' ]
}

@test "no input runs nothing" {
	run -0 ppool map --pipe touch ran </dev/null
	run -0 sh -c ': | ppool map --pipe --round-robin touch ran'
	: >in
	run -0 ppool map --pipe -a in --csv-header touch ran
	run -0 ppool map --pipe touch ran <in
	[ ! -e ran ]
}

@test "a block of --records starts as soon as it is whole" {
	(
		echo 1
		await got
		echo 2
	) | ppool map --pipe --records 1 -j1 sh -c 'cat; touch got' >out
	[ "$(cat out)" = $'1\n2' ]
}

@test "outputs are in the order of the blocks" {
	run -0 sh -c 'seq 4 | ppool map --pipe --records 1 -j4 sh -c "read n; [ \$n != 1 ] || await four; [ \$n != 4 ] || touch four; echo \$n"'
	[ "$output" = $'1\n2\n3\n4' ]
	run -0 sh -c 'seq 4 | ppool map --pipe --unordered --records 1 -j4 sh -c "read n; [ \$n != 1 ] || await three; echo \$n" | {
		for i in 1 2 3; do read -r line; done
		touch three
		cat
	}'
	[ "$output" = 1 ]
	run -0 sh -c 'seq 3 | ppool map --pipe --raw -j1 --records 1 cat'
	[ "$output" = $'1\n2\n3' ]
	run -0 sh -c 'seq 3 | ppool map --pipe --live -j1 --records 1 cat'
	[ "$output" = $'1\n2\n3' ]
}

# ---- records

@test "-0 and -d name the end of a record, NUL is data otherwise" {
	run -0 sh -c 'printf "a\\0b\\nc\\0d\\0" | ppool map --pipe -0 --records 2 sh -c "tr \"\\0\\n\" ,/; echo"'
	[ "$output" = $'a,b/c,\nd,' ]
	run -0 blocks 'a,b,c' -d , --records 2
	[ "$output" = $'<a,b,>\n<c>' ]
	run -0 blocks 'a\\b\\c' -d '\' --records 2
	[ "$output" = $'<a\\b\\>\n<c>' ]
	run -0 sh -c 'printf "a\\0\\0\\nb\\0\\n" | ppool map --pipe --records 1 wc -c'
	[ "$output" = $'4\n3' ]
}

@test "--recend and --recstart say where a record ends" {
	run -0 blocks '>a\n1>2\n>b\n3\n' --recstart '>' --records 1
	[ "$output" = $'<>a/1>2/>\n<>b/3/>' ]
	run -0 blocks 'p1\np1\n\np2\n\n' --recend '\n\n' --block 8
	[ "$output" = $'<p1/p1//>\n<p2//>' ]
	run -0 file_blocks 'p1\np1\n\np2\n\n' --recend '\n\n' --block 8
	[ "$output" = $'<p1/p1//>\n<p2//>' ]
	run -0 blocks 'XaXbXc' --recend '' --recstart X --records 2
	[ "$output" = $'<XaXb>\n<Xc>' ]
	run -0 file_blocks 'XaXbXc' --recend '' --recstart X --block 4
	[ "$output" = $'<XaXb>\n<Xc>' ]
	run -0 blocks 'a--\nb--c--\n' --recend '--\x0a' --records 1
	[ "$output" = $'<a--/>\n<b--c--/>' ]
}

@test "--regex makes them patterns" {
	run -0 blocks 'a12b3c' --regex --recend '[0-9]+' --records 1
	[ "$output" = $'<a12>\n<b3>\n<c>' ]
	run -0 blocks '1. x\n y\n2. z\n' --regex --recstart '^[0-9]\.' --records 1
	[ "$output" = $'<1. x/ y/>\n<2. z/>' ]
	run -0 blocks 'a\tb c' --regex --recend '\t| ' --records 1
	[ "$output" = $'<a\t>\n<b >\n<c>' ]
	run -0 file_blocks 'a12b3c' --regex --recend '[0-9]+' --block 4
	[ "$output" = $'<a12>\n<b3c>' ]
}

@test "--csv keeps a newline within quotes" {
	run -0 blocks 'a,"1\n2",b\n"x""\n"\nc"\n"d"\n' --csv --records 1
	[ "$output" = $'<a,"1/2",b/>\n<"x""/"/>\n<c"/>\n<"d"/>' ]
	run -0 blocks '\xef\xbb\xbf"1\n2",a\nb\n\xef\xbb"c\n' --csv --records 1 # a byte order mark, and what is none
	[ "$output" = $'<\xef\xbb\xbf"1/2",a/>\n<b/>\n<\xef\xbb"c/>' ]
	run -0 file_blocks '\xef\xbb\xbf"1\n2"\nb\n' --csv --block 5
	[ "$output" = $'<\xef\xbb\xbf"1/2"/>\n<b/>' ]
	run -0 file_blocks 'a,"1\n2"\r\nb\r\n' --csv --block 5
	[ "$output" = $'<a,"1/2"\r/>\n<b\r/>' ]
}

@test "CSV that ends within quotes is an error, and whole records are used" {
	run -125 --separate-stderr blocks 'a\nb\n"c\nd\n' --csv --records 2
	[ "$output" = '<a/b/>' ]
	[ "$stderr" = 'ppool: the input ends within quotes; the last record is not used' ]
	run -125 blocks '"a\n' --csv --csv-header
}

@test "--csv-header begins each block with the first record" {
	run -0 blocks 'h\n1\n2\n3\n' --csv-header --records 2
	[ "$output" = $'<h/1/2/>\n<h/3/>' ]
	run -0 file_blocks 'h\n1\n2\n3\n' --csv-header --block 4
	[ "$output" = $'<h/1/2/>\n<h/3/>' ]
	run -0 blocks '"h\n",i\n1\n2\n' --csv --csv-header --records 1
	[ "$output" = $'<"h/",i/1/>\n<"h/",i/2/>' ]
	run -0 blocks 'h\n' --csv-header
	[ "$output" = '<h/>' ]
	run -0 file_blocks 'h' --csv-header
	[ "$output" = '<h>' ]
	run -0 blocks 'h\n1\n2\n3\n' --csv-header --records 1 --round-robin -j2
	[ "$output" = $'<h/1/3/>\n<h/2/>' ] || [ "$output" = $'<h/1/>\n<h/2/3/>' ]
}

# ---- files

@test "a file is read from where it stands, and is used up" {
	seq 5 >in
	run -0 sh -c '{ read -r a; echo "first $a"; ppool map --pipe -j1 --block 4 sh -c "cat; echo -"; cat; } <in'
	[ "$output" = $'first 1\n2\n3\n-\n4\n5\n-' ]
}

@test "files without a size, FIFOs and what cannot be read" {
	[ "$(ppool map --pipe -a /proc/filesystems cat)" = "$(cat /proc/filesystems)" ]
	mkfifo fifo
	seq 5 >fifo &
	run -0 ppool map --pipe -a fifo wc -l
	[ "$output" = 5 ]
	wait
	run -125 --separate-stderr ppool map --pipe -a none touch ran
	[ "$stderr" = "ppool: cannot open 'none': No such file or directory" ]
	run -125 --separate-stderr ppool map --pipe -a / touch ran
	[ "$stderr" = "ppool: cannot read '/': Is a directory" ]
	run -125 --separate-stderr sh -c 'ppool map --pipe touch ran <&-'
	[ "$stderr" = "ppool: cannot read standard input: Bad file descriptor" ]
	[ ! -e ran ]
}

@test "a file that becomes shorter fails its job" {
	head -c 4M /dev/zero >in
	run -1 --separate-stderr ppool map --pipe -a in sh -c ': >in; cat >/dev/null'
	[ "$stderr" = "ppool: cannot write the input of a job: Stale file handle" ]
}

# ---- jobs

@test "a job that leaves early is no failure" {
	make_input
	run -0 sh -c 'cat in | ppool map --pipe --block 200K head -n 1 | wc -l'
	[ "$output" = 3 ]
	run -0 ppool map --pipe --block 200K true <in
	run -0 sh -c 'cat in | ppool map --pipe --block 300K sh -c "exec <&-; echo gone"'
	[ "$output" = $'gone\ngone' ]
}

@test "a failed job is told by the status, and --halt ends the run" {
	run -1 sh -c 'seq 3 | ppool map --pipe --records 1 -j1 sh -c "read n; echo \$n; [ \$n != 2 ]"'
	[ "$output" = $'1\n2\n3' ]
	run -7 sh -c 'yes | ppool map --pipe --halt now,fail=1 sh -c "exit 7"'
	run -127 ppool map --pipe no-such-command </dev/null
}

@test "--retry gives the same block again" {
	seq 5 >want
	cat >flaky <<-'SCRIPT'
	#!/bin/sh
	cat
	[ "$PCORE_ATTEMPT" = 3 ]
	SCRIPT
	chmod +x flaky
	for input in 'cat want |' '<want'; do
		run -0 sh -c "$input ppool map --pipe --records 2 --retry 2 --retry-delay 0 ./flaky"
		[ "$output" = "$(cat want)" ]
	done
	run -0 ppool map --pipe --block 4 --retry 2 --retry-delay 0.1 -j4 ./flaky <want
	[ "$output" = "$(cat want)" ]
	run -1 sh -c 'seq 40 | ppool map --pipe --records 1 --retry 1 --retry-delay 0.05 -j2 false'
}

@test "a job sees no descriptor but 0, 1 and 2" {
	run -0 ppool map --pipe sh -c 'for i in $(seq 0 40); do [ ! -e /proc/$$/fd/$i ] || echo $i; done' <<<x
	[ "$output" = $'0\n1\n2' ]
}

@test "few descriptors are enough" {
	make_input
	is_input "$(ulimit -n 24 && ppool map --pipe --block 100K -j8 cat <in 2>/dev/null | md5sum)"
	is_input "$(ulimit -n 30 && cat in | ppool map --pipe --block 100K -j8 cat 2>/dev/null | md5sum)"
}

@test "output that cannot be written is an error, and a reader that leaves ends the run" {
	run -125 sh -c 'yes | ppool map --pipe cat >/dev/full'
	[[ "$output" == *"cannot write to standard output: No space left on device"* ]]
	run -125 sh -c 'yes | ppool map --pipe --round-robin --live cat >/dev/full'
	run -0 sh -c 'yes | ppool map --pipe cat | head -n 1'
	[ "$output" = y ]
}

@test "memory is bounded, and the input waits for the jobs" {
	[ "${PCORE_VARIANT-}" != asan ] || skip "AddressSanitizer needs all the memory there is"
	run -0 bash -c 'ulimit -v 40000; head -c 200M /dev/zero | tr "\0" "\n" | ppool map --pipe -j2 wc -l | paste -sd+ | bc'
	[ "$output" = $((200 << 20)) ]
}

# stalled PID: it has written something, and no more lately.
stalled() {
	local before
	before=$(sed -n 's/^wchar: //p' "/proc/$1/io")
	sleep 0.1
	((before > 0)) && [ "$before" = "$(sed -n 's/^wchar: //p' "/proc/$1/io")" ]
}

@test "the input waits for the jobs" {
	local writer
	mkfifo fifo
	yes >fifo &
	writer=$!
	ppool map --pipe -j2 sh -c 'touch up$PCORE_SEQ; await go; cat' <fifo >out &
	wait_for 5 exists up2
	wait_for 5 stalled $writer
	(($(sed -n 's/^wchar: //p' "/proc/$writer/io") < 10 << 20))
	kill -HUP $!
	touch go
	ends 129 $!
	ends 141 $writer
	[ "$(wc -l <out)" = $((2 << 19)) ]
}

@test "--progress works while the input has not ended" {
	mkfifo fifo
	exec 9<>fifo
	seq 3 >&9
	ppool map --pipe --records 1 --progress=json cat <fifo >out 2>err 9>&- 3>&- &
	wait_for 10 grep -q '"done":[23]' err
	exec 9>&-
	ends 0 $!
	lines_are out 3
	[[ "$(head -n 1 err)" == *'"total":null'* ]]
	[[ "$(tail -n 1 err)" == *'"done":3,"failed":0,"running":0,"total":3'* ]]
}

# ---- round robin

@test "--round-robin feeds each consumer, and their outputs come in the order of the slots" {
	make_input
	run -0 sh -c 'cat in | ppool map --pipe --round-robin --block 10K -j3 sh -c "echo \$PCORE_SLOT \$(wc -l)"'
	[ "$(printf '%s\n' "$output" | cut -d' ' -f1)" = $'1\n2\n3' ]
	[ "$(printf '%s\n' "$output" | awk '{ n += $2; low += $2 < 1 } END { print n, low }')" = '100000 0' ]
	run -0 ppool map --pipe --round-robin --block 100K -j2 sh -c 'wc -l' <in
	[ "$(printf '%s\n' "$output" | awk '{ n += $1 } END { print NR, n }')" = '2 100000' ]
	is_input "$(ppool map --pipe --round-robin -a in -j1 cat | md5sum)"
	is_input "$(cat in | ppool map --pipe --round-robin --block 3K -j4 cat | sort -n | md5sum)"
}

@test "there are no more consumers than blocks" {
	run -0 sh -c 'seq 3 | ppool map --pipe --round-robin -j8 wc -l'
	[ "$output" = 3 ]
	run -0 sh -c 'seq 3 | ppool map --pipe --round-robin --records 2 -j8 wc -l'
	[ "$output" = $'2\n1' ]
}

@test "a consumer is fed as the input comes" {
	(
		echo 1
		await got1
		echo 2
		await got2
		echo 3
		await got3
	) | ppool map --pipe --round-robin --records 1 -j1 sh -c 'while read n; do touch got$n; done'
	[ -e got3 ]
}

@test "a consumer that leaves gets no more, and the others get all" {
	cat >one <<-'SCRIPT'
	#!/bin/sh
	[ "$PCORE_SLOT" != 1 ] || { head -c 1 >/dev/null; exit 0; }
	wc -l
	SCRIPT
	chmod +x one
	make_input
	run -0 sh -c 'cat in | ppool map --pipe --round-robin --block 200K -j2 ./one'
	((output > 20000 && output < 100000))
}

@test "when all consumers have left the run ends with success" {
	run -0 sh -c 'yes | ppool map --pipe --round-robin -j2 true'
	run -0 sh -c 'yes | ppool map --pipe --round-robin -j2 head -n 1'
	[ "$output" = $'y\ny' ]
	# also when nothing comes any more
	(
		echo 1
		await over
	) | { ppool map --pipe --round-robin --records 1 -j1 true && touch over; }
	[ -e over ]
}

@test "a consumer that is killed makes the status 1, and the others go on" {
	cat >victim <<-'SCRIPT'
	#!/bin/sh
	[ "$PCORE_SLOT" != 1 ] || kill -KILL $$
	wc -l
	SCRIPT
	chmod +x victim
	make_input
	run -1 sh -c 'cat in | ppool map --pipe --round-robin --block 100K -j2 ./victim'
	((output > 20000 && output <= 100000))
}

@test "--halt and signals end the input of the consumers" {
	run -1 sh -c 'yes | ppool map --pipe --round-robin --halt soon,fail=1 -j2 sh -c "[ \$PCORE_SLOT = 1 ] || exit 3; exec wc -l"'
	((output > 0))
	yes | ppool map --pipe --round-robin -j2 sh -c 'touch up$PCORE_SLOT; wc -l' >out &
	wait_for 5 exists up2
	kill -HUP $!
	ends 129 $!
	lines_are out 2
	mkfifo fifo
	exec 7<>fifo
	echo x >&7
	ppool map --pipe --round-robin --records 1 -j2 sh -c 'touch idle; cat' <fifo >out &
	wait_for 5 exists idle
	kill -TERM $!
	ends 143 $!
	exec 7>&-
}

@test "USR2 leaves no block to consumers that will not be started" {
	mkfifo fifo
	exec 7<>fifo
	ppool map --pipe --round-robin --records 1 -j3 sh -c 'while read n; do touch got$n.$PCORE_SLOT; done' <fifo 7>&- &
	echo 1 >&7
	wait_for 5 exists got1.1
	for _ in 1 2; do
		kill -USR2 $!
		wait_for 5 none_pending $!
	done
	echo 2 >&7
	wait_for 5 exists got2.1
	kill -USR1 $! # all consumers are there
	wait_for 5 none_pending $!
	echo 3 >&7
	wait_for 5 exists got3.1
	exec 7>&-
	ends 0 $!
}

@test "USR1 lets more blocks be at work" {
	yes | head -c 20M >in
	ppool map --pipe -j1 --block 2M sh -c 'touch up{#}; while [ ! -e go ]; do sleep 0.02; done; wc -c' <in >out &
	wait_for 5 exists up1
	for _ in 1 2 3 4; do
		kill -USR1 $!
		wait_for 5 none_pending $!
	done
	wait_for 5 exists up5
	touch go
	ends 0 $!
}

@test "the log tells how much each job was sent" {
	printf 'h\n1\n2\n3\n4\n5\n' >in
	run -0 ppool map --pipe -j1 --csv-header --records 2 --log log cat <in
	[ "$(cut -f1,5,6 log)" = $'Seq\tSend\tReceive\n1\t6\t6\n2\t6\t6\n3\t4\t4' ]
	run -0 ppool map --pipe -a in -j1 --block 4 --log log cat
	[ "$(cut -f5 log)" = $'Send\n4\n4\n4' ]
	run -0 ppool map --pipe --round-robin -j1 --block 4 --log log cat <in
	[ "$(cut -f5 log)" = $'Send\n12' ]
	# what was sent is what the last try was sent
	run -1 ppool map --pipe -j1 --retry 2 --log log sh -c 'cat >/dev/null; exit 1' <in
	[ "$(cut -f5 log)" = $'Send\n12' ]
}

@test "a run of blocks is resumed by their numbers" {
	seq 10 >in
	run -0 ppool map --pipe --records 3 --log log wc -l <in
	[ "$output" = $'3\n3\n3\n1' ]
	sed -i '/^[24]\t/d' log
	run -0 ppool map --pipe --records 3 --log log --resume wc -l <in
	[ "$output" = $'3\n1' ]
	run -125 ppool map --pipe --records 3 --log log --resume wc -c <in
	[[ "$output" == "ppool: cannot resume: job 1 is not the one that 'log' has by that number: wc -c" ]]
}

@test "what concerns items does not go with --pipe" {
	for other in "--fill" "--skip-empty" "--skip-lines 1" "--shuffle" "--max 3" "--header" "--colsep ;" "--worker"; do
		run -125 --separate-stderr ppool map --pipe $other touch ran </dev/null
		[[ "${stderr_lines[0]}" == "ppool: --pipe and ${other%% *} exclude each other: there are no items" ]]
	done
	run -125 ppool map --pipe --round-robin --log log --resume touch ran </dev/null
	run -125 ppool map --pipe --csv --colsep ab touch ran </dev/null
	[ ! -e ran ]
}

@test "--colsep says what separates the fields of CSV" {
	printf 'a;"x\ny"\nb;"\n"\n' >in
	run -0 ppool map --pipe --csv --colsep ';' --records 1 sh -c 'cat; echo .' <in
	[ "$output" = $'a;"x\ny"\n.\nb;"\n"\n.' ]
}
