# SPDX-License-Identifier: MIT
# ppool.bats - ppool as its manual page describes it.
# shellcheck shell=bash disable=SC2016,SC1083,SC1003,SC2086,SC2154,SC2119,SC2120,SC2030,SC2031

load support

setup() {
	common_setup
	make_args
}
teardown() { common_teardown; }

# map INPUT ARGS...: ppool map ARGS with INPUT (printf's format) on its standard input.
map() {
	local input=$1
	shift
	# shellcheck disable=SC2059
	printf "$input" | ppool map "$@"
}

# ---- usage

@test "ppool --help goes to stdout and exits 0" {
	run -0 --separate-stderr ppool --help
	[[ "$output" == "usage: ppool map "* ]]
	[ -z "$stderr" ]
	run -0 ppool -h
	run -0 ppool map --help
	[[ "$output" == "usage: ppool map "* ]]
}

@test "ppool --version names tool, package and version" {
	run -0 ppool --version
	[[ "$output" == "ppool (pcore) "[0-9]* ]]
	run -0 ppool map -V
}

@test "ppool without a verb or with an unknown one is a usage error" {
	run -125 --separate-stderr ppool
	[[ "$stderr" == *"try 'ppool --help'"* ]]
	run -125 --separate-stderr ppool nope
	[[ "${stderr_lines[0]}" == *nope* ]]
	[ -z "$output" ]
}

@test "ppool map without a command is a usage error" {
	run -125 --separate-stderr ppool map </dev/null
	[[ "$stderr" == *"try 'ppool --help'"* ]]
	run -125 ppool map -j2 ::: a
}

@test "ppool names an unknown option and one without its value" {
	run -125 --separate-stderr ppool map --no-such-option touch ran ::: a
	[[ "${stderr_lines[0]}" == *--no-such-option* ]]
	[ ! -e ran ]
	run -125 ppool map --timeout
	[[ "${lines[0]}" == *--timeout* ]]
}

@test "ppool's options end at the command" {
	run -0 ppool map echo -j --tag ::: a
	[ "$output" = "-j --tag a" ]
	run -0 ppool map -- echo ::: a
	[ "$output" = a ]
}

@test "PCORE_OPTIONS_PPOOL gives default options" {
	PCORE_OPTIONS_PPOOL='--tag' run -0 ppool map echo ::: a
	[ "$output" = $'a\ta' ]
}

@test "PCORE_LOOP forces a backend and fails clearly" {
	PCORE_LOOP=epoll run -0 ppool map echo ::: a b
	[ "$output" = $'a\nb' ]
	PCORE_LOOP=bogus run -125 ppool map touch ::: ran
	[[ "$output" == *bogus* ]]
	[ ! -e ran ]
}

# ---- items

@test "an item is one line, blanks and all" {
	run -0 map 'a b  c\n d \n' args
	[ "$output" = $'1:[a b  c]\n1:[ d ]' ]
}

@test "no byte of an item is special" {
	printf '%s\n' "it's \"q\" \\back \$HOME \`id\` * ; #" >in
	run -0 ppool map -a in args
	[ "$output" = "1:[$(cat in)]" ]
}

@test "-0 takes items that end with NUL, newlines belong to them" {
	run -0 map 'a\nb\0c\0' -0 args
	[ "$output" = $'1:[a\nb]\n1:[c]' ]
	run -0 map 'x\0' --null args
	[ "$output" = '1:[x]' ]
	run -0 map '\0' -0 args
	[ "$output" = '1:[]' ]
}

@test "-d takes any one byte, or an escape" {
	run -0 map 'a,b\n,c' -d, args
	[ "$output" = $'1:[a]\n1:[b\n]\n1:[c]' ]
	run -0 map 'a\tb' --delimiter '\t' args
	[ "$output" = $'1:[a]\n1:[b]' ]
	run -0 map 'a\0b' -d '\0' args
	[ "$output" = $'1:[a]\n1:[b]' ]
	run -0 map 'a|b' -d '\x7c' args
	[ "$output" = $'1:[a]\n1:[b]' ]
	run -0 map 'a\\b' -d '\\' args
	[ "$output" = $'1:[a]\n1:[b]' ]
}

@test "-d refuses what is no single byte" {
	refuses ppool map -- --delimiter '' ab '\q' '\xZZ' '\x1' '\x123'
}

@test "no input means no job and success" {
	run -0 map '' touch
	[ -z "$output" ]
	run -0 ppool map -0 touch ran </dev/null
	run -0 ppool map touch ran :::
	[ ! -e ran ]
}

@test "an empty line is an empty item" {
	run -0 map 'a\n\nb\n' args
	[ "$output" = $'1:[a]\n1:[]\n1:[b]' ]
	run -0 map '\n' args
	[ "$output" = '1:[]' ]
}

@test "the last item needs no newline" {
	run -0 map 'a\nb' args
	[ "$output" = $'1:[a]\n1:[b]' ]
}

@test "items that look like options or separators go to the job" {
	run -0 ppool map args ::: -n --help - -- :::: {}
	[ "$output" = $'1:[-n]\n1:[--help]\n1:[-]\n1:[--]\n1:[::::]\n1:[{}]' ]
	run -0 sh -c 'printf "%s\n" -j --help - ::: | ppool map args'
	[ "$output" = $'1:[-j]\n1:[--help]\n1:[-]\n1:[:::]' ]
}

@test "an item with a NUL fails alone and is named" {
	run -1 --separate-stderr map 'ok\na\0b\nfine\n' args
	[ "$output" = $'1:[ok]\n1:[fine]' ]
	[[ "$stderr" == "ppool: item 2 holds a NUL byte"*-0* ]]
}

@test "bytes that are no text pass unchanged" {
	printf '\xff\xfe x\n\xc3\n' >in
	run -0 ppool map -a in args {} {.}
	[ "$output" = $'2:[\xff\xfe x][\xff\xfe x]\n2:[\xc3][\xc3]' ]
	LC_ALL=C.UTF-8 run -0 ppool map -a in args
	[ "$output" = $'1:[\xff\xfe x]\n1:[\xc3]' ]
}

@test "a carriage return is part of the item" {
	run -0 map 'a\r\nb\r\n' args
	[ "$output" = $'1:[a\r]\n1:[b\r]' ]
}

@test "an item at the kernel's limit runs, one above it fails alone" {
	{ echo a; printf '%0131071d\n' 0; printf '%0131072d\n' 0; echo b; } >in
	run -1 --separate-stderr ppool map -a in sh -c 'echo ${#1}' sh
	[ "$output" = $'1\n131071\n1' ]
	[[ "$stderr" == "ppool: "*"too long"* ]]
	[ "${#stderr}" -lt 5000 ]
}

@test "an item longer than 1 MiB is an error that ends the input" {
	{ echo a; head -c 1100000 /dev/zero | tr '\0' x; echo; echo b; } >in
	run -125 --separate-stderr ppool map -a in sh -c 'echo ${#1}' sh
	[ "${lines[0]}" = 1 ]
	[[ "$stderr" == "ppool: "*2* ]]
	[ "${#stderr}" -lt 5000 ]
	run -125 timeout 20 sh -c 'tr "\0" x </dev/zero | ppool map true'
}

@test "--arg-file reads items from a file and names one it cannot read" {
	printf 'a\nb\n' >in
	run -0 sh -c 'echo stdin | ppool map -a in echo'
	[ "$output" = $'a\nb' ]
	run -125 ppool map --arg-file missing touch ran
	[ "$output" = "ppool: cannot open 'missing': No such file or directory" ]
	run -125 ppool map -a . touch ran
	[[ "$output" == "ppool: "*"Is a directory" ]]
}

@test "items come from one place only" {
	run -125 ppool map -a /dev/null touch ::: ran
	[[ "${lines[0]}" == *--arg-file*:::* ]]
	run -125 ppool map -0 -d, touch ran </dev/null
	[[ "${lines[0]}" == *--null*--delimiter* || "${lines[0]}" == *--delimiter*--null* ]]
	[ ! -e ran ]
}

@test "standard input that cannot be read is an error" {
	run -125 sh -c 'ppool map touch ran <&-'
	[[ "$output" == "ppool: "*"Bad file descriptor" ]]
	run -125 sh -c 'ppool map touch ran <.'
	[[ "$output" == "ppool: "*"Is a directory" ]]
	[ ! -e ran ]
}

@test "a first item starts before the second one is there" {
	mkfifo feed
	ppool map echo <feed >out 3>&- &
	exec 7>feed
	echo one >&7
	wait_for 5 nonempty out
	[ "$(cat out)" = one ]
	printf two >&7
	exec 7>&-
	ends 0 $!
	[ "$(cat out)" = $'one\ntwo' ]
}

@test "-n gives up to N items to a job" {
	run -0 sh -c 'seq 5 | ppool map -n 2 args'
	[ "$output" = $'2:[1][2]\n2:[3][4]\n1:[5]' ]
	run -0 sh -c 'seq 3 | ppool map --max-args 9 args x {} y {} a{}b'
	[ "$output" = '9:[x][1][2][3][y][1][2][3][a1 2 3b]' ]
}

@test "-n with as many items as fit waits for the end of the input only" {
	run -0 sh -c 'seq 1000 | ppool map -n 300 sh -c "echo \$#" sh'
	[ "$output" = $'300\n300\n300\n100' ]
}

@test "-n refuses what is no number" {
	refuses ppool map -- --max-args '' 0 -1 x 1.5 99999999999999999999
}

# ---- templates

@test "{} is replaced anywhere, repeatedly, and never rescanned" {
	run -0 ppool map echo {} {}-{} x{}y ::: x
	[ "$output" = 'x x-x xxy' ]
	run -0 ppool map echo '<{}>' ::: 'a{}b' '{#}'
	[ "$output" = $'<a{}b>\n<{#}>' ]
}

@test "placeholders for parts of a path" {
	run -0 ppool map args {.} {/} {//} {/.} ::: a/b.c/d.tar.gz noext dir.x/f /abs ''
	[ "${lines[0]}" = '4:[a/b.c/d.tar][d.tar.gz][a/b.c][d.tar]' ]
	[ "${lines[1]}" = '4:[noext][noext][.][noext]' ]
	[ "${lines[2]}" = '4:[dir.x/f][f][dir.x][f]' ]
	[ "${lines[3]}" = '4:[/abs][abs][/][abs]' ]
	[ "${lines[4]}" = '4:[][][][]' ]
	run -0 ppool map args {.} {/.} ::: .hidden d/.hidden
	[ "$output" = $'2:[.hidden][.hidden]\n2:[d/.hidden][.hidden]' ]
}

@test "{#} is the job's number, {%} its slot; the item is still appended" {
	run -0 ppool map -j1 args {#} {%} ::: a b
	[ "$output" = $'3:[1][1][a]\n3:[2][1][b]' ]
}

@test "two running jobs never have the same slot" {
	run -0 sh -c 'seq 60 | ppool map -j4 sh -c "mkdir slot-{%} && sleep 0.01 && rmdir slot-{%} && echo {%}" | sort -u'
	[ "$output" = $'1\n2\n3\n4' ]
}

@test "unknown braces are ordinary text" {
	run -0 ppool map args '{99}' '{' '}' '{x}' '{{}}' ::: a
	[ "$output" = '5:[{99}][{][}][{x}][{a}]' ]
}

@test "--shell runs a text of sh with items quoted" {
	run -0 ppool map --shell 'printf "%s|" x{} {}; echo $((1 + 1))' ::: "it's \"q\" \$HOME" $'a\nb' -n
	[ "$output" = "xit's \"q\" \$HOME|it's \"q\" \$HOME|2"$'\nxa\nb|a\nb|2\nx-n|-n|2' ]
	run -0 ppool map --shell echo a '&&' echo ::: 'b;c'
	[ "$output" = $'a\nb;c' ]
}

@test "without --shell nothing looks at the command" {
	run -0 ppool map echo '$HOME;' '{}|cat' ::: '`id`'
	[ "$output" = '$HOME; `id`|cat' ]
}

@test "the command itself may hold the placeholder" {
	run -0 ppool map {} ::: true pwd
	[ "$output" = "$PWD" ]
	run -1 --separate-stderr ppool map {} ::: true no-such-command pwd
	[ "$output" = "$PWD" ]
	[[ "$stderr" == *"cannot run 'no-such-command'"* ]]
}

@test "--dry-run prints command lines that a shell reads back, and runs nothing" {
	run -0 ppool map --dry-run touch {} ::: ran "it's" $'new\nline' ''
	[ "${lines[0]}" = 'touch ran' ]
	[ ! -e ran ]
	eval "set -- $(ppool map --dry-run args {} ::: "it's a" | head -n 1)"
	[ "$2" = "it's a" ]
}

@test "--verbose prints each command line on stderr" {
	for o in -v --verbose; do
		run -0 --separate-stderr ppool map $o echo {} ::: a 'b c'
		[ "$output" = $'a\nb c' ]
		[ "$stderr" = $'echo a\necho \'b c\'' ]
	done
}

# ---- order and output

@test "output comes in the order of the items" {
	run -0 ppool map -j4 --shell 'sleep {}; echo {}' ::: .4 .1 .3 .2
	[ "$output" = $'.4\n.1\n.3\n.2' ]
	seq 1000 >in
	ppool map -j4 -a in echo | cmp - in
}

@test "--unordered prints jobs as they finish" {
	run -0 ppool map -j4 --unordered --shell 'sleep {}; echo {}' ::: 1.5 .1 1 .5
	[ "$output" = $'.1\n.5\n1\n1.5' ]
}

@test "stdout and stderr of a job stay apart and whole" {
	run -0 ppool map -j2 --shell 'echo o{}; echo e{} >&2; sleep 0.1; echo p{}' ::: 1 2
	[ "$output" = $'o1\np1\ne1\no2\np2\ne2' ]
	run -0 --separate-stderr ppool map -j2 --shell 'echo o{}; echo e{} >&2; echo p{}' ::: 1 2
	[ "$output" = $'o1\np1\no2\np2' ]
	[ "$stderr" = $'e1\ne2' ]
}

@test "no newline is added" {
	run -0 ppool map printf {} ::: a b c
	[ "$output" = abc ]
}

@test "the head job streams through" {
	make_await
	ppool map -j2 --shell 'echo first {}; await end; echo last {}' ::: 1 2 >out 3>&- &
	wait_for 5 nonempty out
	[ "$(cat out)" = 'first 1' ]
	touch end
	ends 0 $!
	[ "$(cat out)" = $'first 1\nlast 1\nfirst 2\nlast 2' ]
}

@test "--live prints whole lines as they come" {
	make_await
	run -0 ppool map -j2 --live --shell 'printf {}1; touch begun{}; await begun1 && await begun2; echo {}2' ::: 1 2
	[ "$(sort <<<"$output")" = $'1112\n2122' ]
	ppool map -j2 --live --shell 'test {} = 1 || echo second; await end' ::: 1 2 >out 3>&- &
	wait_for 5 nonempty out
	[ "$(cat out)" = second ]
	touch end
	ends 0 $!
}

@test "--live ends an unfinished last line with the job" {
	run -0 ppool map -j1 --live printf {} ::: a b
	[ "$output" = ab ] || [ "$output" = $'a\nb' ]
}

@test "--raw lets jobs write themselves" {
	ppool map --raw sh -c 'readlink /proc/$$/fd/1' sh ::: a >out
	[ "$(cat out)" = "$PWD/out" ]
}

@test "--tag begins each line with the item" {
	run -0 ppool map -j1 --tag printf 'a\nb' ::: x
	[[ "$output" == $'x\ta\nx\tb'* ]]
	run -0 ppool map --tag --shell 'echo o; echo e >&2; true {}' ::: 1
	[ "$output" = $'1\to\n1\te' ]
	run -0 ppool map --tag --shell 'echo o; : {}' ::: $'a\nb\tc\x1b'
	[ "$output" = $'a\\nb\\tc\\x1b\to' ]
}

@test "--unordered, --live and --raw exclude each other, and --tag --raw" {
	for two in '--unordered --live' '--live --raw' '--unordered --raw' '--tag --raw'; do
		run -125 ppool map $two touch ::: ran
		[ ! -e ran ]
	done
}

@test "binary output is exact" {
	run -0 sh -c 'ppool map -j2 --shell "head -c 1000000 /dev/zero; printf \"\\377\"; : {}" ::: a b | wc -c'
	[ "$output" = 2000002 ]
	head -c 300000 /dev/urandom >data
	ppool map -j2 cat ::: data data | cmp - <(cat data data)
	ppool map -j2 --buffer 64K cat ::: data data data | cmp - <(cat data data data)
}

@test "output larger than --buffer is spilled and complete" {
	mkdir spill
	TMPDIR=$PWD/spill run -0 sh -c \
		'seq 8 | ppool map -j4 --buffer 64K --shell "test {} != 1 || sleep 0.5; head -c 1000000 /dev/zero | tr \"\\0\" {}" | md5sum'
	want=$(for i in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/zero | tr '\0' $i; done | md5sum)
	[ "$output" = "$want" ]
	[ -z "$(ls -A spill)" ]
}

@test "a TMPDIR that is missing or full loses nothing" {
	want=$(for i in 1 2 3 4; do head -c 3000000 /dev/zero | tr '\0' $i; done | md5sum)
	job='test {} != 1 || sleep 0.3; head -c 3000000 /dev/zero | tr "\0" {}'
	TMPDIR=/no/such/dir run --separate-stderr timeout 30 sh -c 'seq 4 | ppool map -j4 --buffer 64K --shell "$1" | md5sum' sh "$job"
	[ "$output" = "$want" ]
	need_root
	mkdir small
	run --separate-stderr timeout 30 unshare -m sh -c 'mount -t tmpfs -o size=1M none small && export TMPDIR=$PWD/small &&
		seq 4 | ppool map -j4 --buffer 64K --shell "$1" | md5sum' sh "$job"
	[ "$output" = "$want" ]
}

@test "--buffer refuses what is no size" {
	refuses ppool map -- --buffer '' -1 x 5X 5KB 99999999999999999999
}

@test "a full or closed standard output is an error" {
	for i in 1 2 3 4 5 6 7 8; do # jobs end before and after the write
		run -125 sh -c 'ppool map echo ::: a b >/dev/full'
		[ "$output" = "ppool: cannot write to standard output: No space left on device" ]
	done
	run -125 sh -c 'ppool map echo ::: a b >&-'
	[[ "$output" == "ppool: cannot write to standard output: Bad file descriptor" ]]
	run -125 sh -c 'ppool map --dry-run echo ::: a b >/dev/full'
	run -125 sh -c 'ppool map --live echo ::: a b >/dev/full'
	run -125 sh -c 'ppool map --unordered echo ::: a b >/dev/full'
}

@test "a reader that goes away ends everything promptly and quietly" {
	from=$(now_ms)
	run -0 bash -c 'seq 100000 | ppool map -j2 echo 2>err | head -n 1; echo ${PIPESTATUS[1]}; cat err'
	[ "$output" = $'1\n141' ]
	run -0 bash -c 'yes a | ppool map -j2 echo 2>err | head -n 2; echo ${PIPESTATUS[1]}; cat err'
	[ "$output" = $'a\na\n141' ]
	run -0 timeout 20 bash -c 'yes | ppool map -j2 sh -c "yes x" 2>err | head -n 1; echo ${PIPESTATUS[1]}; cat err'
	[ "$output" = $'x\n141' ]
	took "$from" 0 14000
}

@test "a reader that goes away is noticed while the jobs are silent" {
	from=$(now_ms)
	run -0 timeout 20 bash -c 'seq 4 | ppool map -j2 sh -c "echo x; exec sleep 15" | head -n 1'
	[ "$output" = x ]
	took "$from" 0 14000
}

@test "a slow reader holds the jobs back" {
	mkfifo pipe
	seq 200 | ppool map -j2 --buffer 64K --shell 'echo {} >>started; head -c 100000 /dev/zero' >pipe 3>&- &
	exec 7<pipe
	wait_for 5 nonempty started
	sleep 0.7
	[ "$(wc -l <started)" -lt 100 ]
	[ "$(cat <&7 | wc -c)" = 20000000 ]
	exec 7<&-
	ends 0 $!
}

@test "a standard output that does not block is waited for" {
	run -0 bash -c 'seq 20 | perl -e "use Fcntl; fcntl STDOUT, F_SETFL, O_NONBLOCK|O_WRONLY; exec @ARGV" \
		ppool map -j2 --shell "head -c 100000 /dev/zero; : {}" | (sleep 0.3; wc -c)'
	[ "$output" = 2000000 ]
}

# ---- jobs

@test "a job's standard input is empty" {
	run -0 map '1\n2\n3\n' sh -c 'echo {}; cat'
	[ "$output" = $'1\n2\n3' ]
	run -0 ppool map sh -c 'readlink /proc/$$/fd/0' sh ::: a
	[ "$output" = /dev/null ]
}

@test "a job gets no descriptor but 0, 1 and 2" {
	run -0 perl -e '$^F = 5000; open $h[$_], "<", "/dev/null" or exit 9 for 0 .. 900; exec @ARGV' \
		ppool map -j2 perl -e 'print "{} "; -e "/proc/self/fd/$_" and print "$_ " for 0 .. 1100; print "\n"' ::: a b
	[ "$output" = $'a 0 1 2 \nb 0 1 2 ' ]
}

@test "a job gets no descriptor of 2000 inherited ones" {
	ulimit -n 4096 2>/dev/null || skip "cannot raise the limit of open files"
	run -0 perl -e '$^F = 5000; open $h[$_], "<", "/dev/null" or exit 9 for 0 .. 2000; exec @ARGV' \
		ppool map -j2 perl -e '-e "/proc/self/fd/$_" and print "$_ " for 0 .. 4095; print "{}\n"' ::: a b
	[ "$output" = $'0 1 2 a\n0 1 2 b' ]
}

@test "jobs know their number, slot and attempt" {
	run -0 ppool map -j1 --shell 'echo $PCORE_SEQ $PCORE_SLOT $PCORE_ATTEMPT {}' ::: a b
	[ "$output" = $'1 1 1 a\n2 1 1 b' ]
	run -0 ppool map --clean-env --env A=1 /usr/bin/env {} ::: A=2
	[[ "$output" == *PCORE_SEQ=1* ]]
	[[ "$output" == *A=2* ]]
	[[ "$output" != *PATH=* ]]
}

@test "each job has a process group of its own" {
	run -0 ppool map -j2 perl -e 'print getpgrp(0) == $$ ? "own\n" : "shared\n"' ::: a b
	[ "$output" = $'own\nown' ]
}

@test "jobs start with clean signals" {
	run -0 env --ignore-signal ppool map grep -E '^Sig(Blk|Ign)' ::: /proc/self/status
	[ "$output" = $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000007' ]
	run -0 env --default-signal --block-signal ppool map grep -E '^Sig(Blk|Ign)' ::: /proc/self/status
	[ "$output" = $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000' ]
	run -1 env --ignore-signal=CHLD ppool map sh -c 'exit {}' ::: 0 5
}

@test "-j is the number of jobs at a time" {
	peak='mkdir run.$PCORE_SEQ; sleep 0.4; ls -d run.* 2>/dev/null | wc -l; sleep 0.2; rmdir run.$PCORE_SEQ; : {}'
	run -0 sh -c 'seq 6 | ppool map -j3 --shell "$1" | sort -n | tail -n 1' sh "$peak"
	[ "$output" = 3 ]
	run -0 sh -c 'seq 3 | ppool map --jobs 1 --shell "$1" | sort -n | tail -n 1' sh "$peak"
	[ "$output" = 1 ]
}

@test "-j counts from the CPUs that affinity allows" {
	peak='mkdir run.$PCORE_SEQ; sleep 0.2; ls -d run.* 2>/dev/null | wc -l; sleep 0.1; rmdir run.$PCORE_SEQ; : {}'
	cpu=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
	for o in '' -j100% -j+0 -j1% ; do
		run -0 taskset -c "$cpu" sh -c 'seq 4 | ppool map $2 --shell "$1" | sort -n | tail -n 1' sh "$peak" "$o"
		[ "$output" = 1 ]
	done
	for o in -j200% -j+1; do
		run -0 taskset -c "$cpu" sh -c 'seq 4 | ppool map $2 --shell "$1" | sort -n | tail -n 1' sh "$peak" "$o"
		[ "$output" = 2 ]
	done
}

@test "-j refuses what is no number of jobs" {
	refuses ppool map -- --jobs '' 0 -3 4x ' 4' 99999999999999999999 x% % + +x 1.5 0%
}

@test "a -j above what the limits allow is lowered with a warning" {
	run -0 --separate-stderr sh -c 'ulimit -n 64; seq 30 | ppool map -j 100000 echo | cksum'
	[ "$output" = "$(seq 30 | cksum)" ]
	[[ "$stderr" == "ppool: "*[0-9]* ]]
	[ "${#stderr_lines[@]}" = 1 ]
}

# few_fds COMMAND...: with descriptors 0, 1 and 2 only, and room for 20 in all.
few_fds() {
	perl -e 'use POSIX; POSIX::close($_) for 3 .. 255; exec @ARGV' prlimit --nofile=20:20 "$@"
}

@test "jobs run with 20 descriptors" {
	seq 50 >in
	run -0 --separate-stderr few_fds timeout 30 ppool map -j8 -a in --shell 'sleep 0.02; echo {}'
	[ "$output" = "$(cat in)" ]
}

@test "too few descriptors for a single job are an error, not a wait without end" {
	run few_fds timeout 15 perl -e '$^F = 50; open $h[$_], "<", "/dev/null" or exit 9 for 1 .. 8; exec @ARGV' \
		ppool map -j8 echo ::: 1 2 3
	[ "$status" = 125 ] || [ "$status" = 1 ]
	[[ "$output" == *"Too many open files"* ]]
}

@test "jobs run when there are few processes to be had" {
	need_root
	user_setup
	seq 20 >in
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # looking for leaks takes a process
	uid=$((64000 + RANDOM % 1000)) # one that has no other processes
	run -0 --separate-stderr timeout 30 setpriv --reuid=$uid --regid=$uid --clear-groups prlimit --nproc=6:6 \
		ppool map -j8 -a in echo
	[ "$output" = "$(cat in)" ]
	[[ "${stderr_lines[0]}" == "ppool: "* ]]
}

@test "--delay keeps two starts apart" {
	from=$(now_ms)
	run -0 ppool map -j4 --delay 0.2 echo ::: 1 2 3 4
	took "$from" 600 10000
	refuses ppool map -- --delay '' -1 x
}

@test "--chdir, --env, --unset, --clean-env, --umask, --nice, --limit and --affinity hold for jobs" {
	mkdir d
	run -0 ppool map --chdir d sh -c 'pwd' ::: a
	[ "$output" = "$PWD/d" ]
	B=1 run -0 ppool map --env A=1 --unset B sh -c 'echo $A ${B-unset}' ::: a
	[ "$output" = '1 unset' ]
	run -0 ppool map --umask 027 sh -c umask ::: a
	[ "$output" = 0027 ]
	run -0 ppool map --nice 3 sh -c nice ::: a
	[ "$output" = $(($(nice) + 3)) ]
	run -0 ppool map --limit nofile=64:128 sh -c 'ulimit -Sn; ulimit -Hn' ::: a
	[ "$output" = $'64\n128' ]
	cpu=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
	run -0 ppool map --affinity "$cpu" sh -c nproc ::: a
	[ "$output" = 1 ]
}

@test "job options refuse bad values as in prun" {
	refuses ppool map -- --env '' '=x' NOVALUE
	refuses ppool map -- --unset '' A=1
	refuses ppool map -- --umask 8 x
	refuses ppool map -- --nice 20 x
	refuses ppool map -- --limit nope=5 nofile=x
	refuses ppool map -- --affinity x 1-0
}

@test "a setup step that fails is our own failure" {
	run ppool map --chdir nowhere echo ::: a
	[ "$status" = 125 ] || [ "$status" = 1 ]
	[[ "$output" == "ppool: cannot change directory to 'nowhere': No such file or directory" ]]
}

# ---- time, retries, failures

@test "--timeout ends a job that hangs, the others are not touched" {
	from=$(now_ms)
	run -1 ppool map -j2 --timeout 2 --shell 'sleep {}; echo {}' ::: 60 .1
	[[ "$output" == *.1* ]]
	took "$from" 2000 30000
}

@test "--timeout ends jobs that stop themselves or ignore the signal" {
	from=$(now_ms)
	run -1 ppool map -j2 --timeout 0.3 --kill-after 0.3 sh -c ::: 'kill -STOP $$' 'trap "" TERM; sleep 30; sleep 30'
	took "$from" 300 5000
	run -1 ppool map --timeout 0.1 --kill-after 0 env --ignore-signal=TERM sleep ::: 30
}

@test "--signal names the signal of the time-out" {
	run -1 ppool map --timeout 2 --signal USR1 perl -e '$SIG{USR1} = sub { print "usr1"; exit 3 }; sleep 1 for 1 .. 10' ::: a
	[ "$output" = usr1 ]
}

@test "--timeout, --signal, --kill-after, --linger refuse bad values" {
	refuses ppool map -- --timeout '' -1 nan 5x
	refuses ppool map -- --signal '' NOPE 0
	refuses ppool map -- --kill-after '' -1
	refuses ppool map -- --linger '' -1
}

@test "--retry tries a failed job again, and jobs know it" {
	run -0 ppool map -j2 --retry 3 --retry-delay 0 --shell 'echo {}$PCORE_ATTEMPT >>log; test $PCORE_ATTEMPT = 3' ::: a b
	[ "$(sort log | tr '\n' ' ')" = 'a1 a2 a3 b1 b2 b3 ' ]
	run -1 ppool map --retry 1 --retry-delay 0 --shell 'echo {} >>log2; false' ::: c
	[ "$(wc -l <log2)" = 2 ]
}

@test "only the last try's output is printed" {
	run -0 ppool map --retry 3 --retry-delay 0 --shell 'echo {} $PCORE_ATTEMPT; test $PCORE_ATTEMPT = 3' ::: a
	[ "$output" = 'a 3' ]
}

@test "--retry-delay waits between two tries" {
	from=$(now_ms)
	run -1 ppool map --retry 2 --retry-delay 0.2 false ::: a
	took "$from" 400 10000
	refuses ppool map -- --retry '' -1 x
	refuses ppool map -- --retry-delay '' -1 x
}

@test "the status is 0 when all jobs succeed and 1 when some fail" {
	run -0 ppool map true ::: 1 2 3
	run -1 ppool map sh -c 'exit {}' ::: 0 1 0
	run -1 ppool map sh -c 'exit {}' ::: 255 7
	run -1 ppool map sh -c 'kill -KILL $$' ::: a
	run -1 sh -c 'seq 300 | ppool map -n 2 false'
}

@test "a job killed by a signal does not harm the others" {
	run -1 ppool map -j2 --shell 'test {} != 2 || kill -KILL $$; echo {}' ::: 1 2 3 4
	[ "$output" = $'1\n3\n4' ]
}

@test "a command that is missing is noticed before the first item" {
	run -127 ppool map no-such-command ::: a b
	[ "$output" = "ppool: cannot run 'no-such-command': No such file or directory" ]
	run -127 sh -c 'ppool map no-such-command </dev/null'
	run -127 sh -c 'yes | timeout 10 ppool map /no/such/command {}'
}

@test "a command that cannot run is noticed before the first item" {
	echo x >plain
	run -126 ppool map ./plain ::: a b
	[ "$output" = "ppool: cannot run './plain': Permission denied" ]
	run -126 ppool map /etc ::: a
}

@test "--halt never runs all jobs" {
	run -1 ppool map -j1 --halt never --shell 'echo {}; false' ::: 1 2 3
	[ "$output" = $'1\n2\n3' ]
}

@test "--halt now,fail=1 exits with the job's status" {
	for s in 3 255 124; do
		run "-$s" ppool map --halt now,fail=1 sh -c 'exit {}' ::: "$s"
	done
	run -143 perl -e 'system(@ARGV); exit($? & 127 ? 128 + ($? & 127) : $? >> 8)' ppool map --halt now,fail=1 sh -c 'kill -TERM $$' ::: a
	run -137 perl -e 'system(@ARGV); exit($? & 127 ? 128 + ($? & 127) : $? >> 8)' ppool map --halt now,fail=1 sh -c 'kill -KILL $$' ::: a
	run -124 ppool map --halt now,fail=1 --timeout 0.2 sleep ::: 9
	run -127 ppool map --halt now,fail=1 {} ::: no-such-command
}

@test "--halt now,fail=1 ends running jobs and prints what was finished" {
	from=$(now_ms)
	make_await
	run -3 --separate-stderr ppool map -j3 --halt now,fail=1 \
		--shell 'case {} in 1) sleep 77 ;; 2) touch done ;; 3) await done; sleep 0.5; exit 3 ;; esac; echo {}' ::: 1 2 3 4
	took "$from" 0 20000
	[[ "$output" == *2* ]]
}

@test "--halt soon,fail=1 lets running jobs finish and starts no more" {
	make_await
	run -1 ppool map -j2 --halt soon,fail=1 --shell 'echo {} >>started; case {} in 1) await failing; sleep 0.3; echo one ;; 2) touch failing; exit 5 ;; esac' ::: 1 2 3 4
	[ "$output" = one ]
	[ "$(sort started | tr '\n' ' ')" = '1 2 ' ]
}

@test "--halt with a success stops with status 0" {
	from=$(now_ms)
	run -0 ppool map -j2 --halt now,success=1 sh -c 'test {} = 2 || sleep 77; echo {}' ::: 1 2 3
	took "$from" 0 20000
	[[ "$output" == *2* ]]
	run -0 ppool map -j1 --halt soon,success=2 echo ::: 1 2 3
	[ "$output" = $'1\n2' ]
	run -1 ppool map --halt now,success=1 false ::: 1 2
}

@test "--halt takes a share of the jobs" {
	run ppool map -j1 --halt soon,fail=50% --shell 'echo {}; test {} -gt 2 && exit 1; :' ::: 1 2 3 4 5 6 7 8
	[ "$status" = 1 ]
	[ "$output" = $'1\n2\n3\n4' ]
}

@test "--halt refuses what is none of its forms" {
	refuses ppool map -- --halt '' x now soon now, now,fail now,fail= now,fail=0 now,fail=x now,fail=-1 now,fail=101% \
		never,fail=1 later,fail=1 now,done=1
}

# ---- strays, trees, signals

@test "a child in the background does not hold the slot or the output" {
	from=$(now_ms)
	run -0 ppool map -j1 --shell 'echo {}; sleep 77 &' ::: a b
	[ "$output" = $'a\nb' ]
	took "$from" 0 20000
	leaves_nothing
}

@test "--linger lets a stray finish, and its output counts" {
	run -0 ppool map --linger 20 --shell '(sleep 0.4; echo late) & echo {}' ::: a
	[ "$output" = $'a\nlate' ]
}

@test "--leave lets a stray live" {
	run -0 ppool map --leave --shell 'sleep 77 >/dev/null 2>&1 & echo $!; : {}' ::: a
	kill -0 "$output"
	kill -KILL "$output"
}

@test "a time-out leaves nothing of a job's tree, as root" {
	need_cgroup
	make_family
	run -1 ppool map -j2 --timeout 1 --kill-after 0.2 family ::: f g
	leaves_nothing
}

@test "a time-out leaves nothing of a job's tree, as an ordinary user" {
	user_setup
	run -1 "${as_user[@]}" ppool map -j2 --timeout 1 --kill-after 0.2 family ::: f g
	leaves_nothing
}

@test "ppool killed by KILL leaves no process, as root" {
	need_cgroup
	make_family
	ppool map -j2 family ::: f g 3>&- &
	wait_for 5 exists f && wait_for 5 lines_are f 3
	wait_for 5 exists g && wait_for 5 lines_are g 3
	kill -KILL $!
	ends 137 $!
	wait_for 3 nothing_left
}

@test "ppool killed by KILL leaves no process, as an ordinary user" {
	user_setup
	"${as_user[@]}" ppool map -j2 family ::: f g 3>&- &
	wait_for 5 exists f && wait_for 5 lines_are f 3
	wait_for 5 exists g && wait_for 5 lines_are g 3
	kill -KILL $!
	ends 137 $!
	wait_for 3 nothing_left
}

# Jobs that say when they run and what they got; the second never starts before the first ended.
start_jobs() {
	cat >job <<-'SCRIPT'
	#!/bin/sh
	trap 'echo term $1; exit 1' TERM
	trap 'echo int $1; exit 1' INT
	echo start "$1"
	touch "started.$1"
	i=0
	while [ ! -e end ] && [ $i -lt 500 ]; do sleep 0.02; i=$((i + 1)); done
	echo end "$1"
	SCRIPT
	chmod +x job
	env --default-signal=INT,QUIT,HUP ppool map -j2 ./job ::: 1 2 3 4 >out 3>&- &
	wait_for 5 exists started.1
	wait_for 5 exists started.2
}

@test "TERM and INT are passed on, what is finished is printed, and ppool dies of the signal" {
	for s in TERM INT; do
		rm -f started.*
		start_jobs
		kill "-$s" $!
		ends $((128 + $(kill -l $s))) $!
		[ "$(cat out)" = $'start 1\n'"${s,,} 1"$'\nstart 2\n'"${s,,} 2" ]
		[ ! -e started.3 ]
	done
}

@test "a stop from the terminal while a job is being started stops nothing for good" {
	seq 200 >in
	set -m
	ppool map -j2 -a in true &
	pid=$!
	set +m
	stop_and_go() {
		kill -TSTP -- -$pid 2>/dev/null || true
		sleep 0.01
		kill -CONT -- -$pid 2>/dev/null || true
		gone $pid
	}
	wait_for 60 stop_and_go
	ends 0 $pid
}

@test "a third TERM drops what nobody reads" {
	mkfifo out
	exec {r}<>out
	ppool map -j1 sh -c 'head -c 300000 /dev/zero; : >wrote' ::: a >out &
	pid=$!
	wait_for 10 exists wrote
	again() {
		kill -TERM $pid 2>/dev/null || true
		gone $pid
	}
	wait_for 10 again
	ends 143 $pid
	exec {r}<&-
}

@test "a second TERM kills jobs that ignore the first" {
	ppool map -j2 --kill-after 60 env --ignore-signal=TERM sh -c 'touch started.{}; sleep 77; sleep 77' ::: 1 2 3 3>&- &
	wait_for 5 exists started.1
	wait_for 5 exists started.2
	kill -TERM $!
	wait_for 5 none_pending $!
	from=$(now_ms)
	kill -TERM $!
	ends 143 $!
	took "$from" 0 20000
	[ ! -e started.3 ]
}

@test "HUP starts no more jobs and lets the running ones finish" {
	start_jobs
	kill -HUP $!
	wait_for 5 none_pending $!
	touch end
	ends 129 $!
	[ "$(cat out)" = $'start 1\nend 1\nstart 2\nend 2' ]
	[ ! -e started.3 ]
}

@test "HUP that leaves nothing undone changes no status" {
	make_await
	for failed in 0 1; do
		rm -f begun end
		env --default-signal=HUP ppool map -j2 --shell 'touch begun; await end; exit {}' ::: 0 $failed 3>&- &
		wait_for 5 exists begun
		kill -HUP $!
		touch end
		ends $failed $!
	done
}

@test "under nohup HUP changes nothing" {
	make_await
	env --ignore-signal=HUP ppool map -j1 --shell 'touch started; await end; echo {}' ::: 1 2 >out 3>&- &
	wait_for 5 exists started
	kill -HUP $!
	touch end
	ends 0 $!
	[ "$(cat out)" = $'1\n2' ]
}

# ---- progress

@test "no progress is shown when stderr is no terminal" {
	run -0 --separate-stderr ppool map sleep ::: 0.3 0.3
	[ -z "$stderr" ]
}

@test "--progress shows the jobs on stderr" {
	for o in --progress --progress=bar; do
		run -0 --separate-stderr ppool map $o echo ::: a b c
		[ "$output" = $'a\nb\nc' ]
		[[ "$stderr" == *3* ]]
	done
	run -125 ppool map --progress=x touch ::: ran
	[[ "${lines[0]}" == *--progress* ]]
	[ ! -e ran ]
}

@test "progress is shown on a terminal and does not mix with output" {
	run -0 script -qec "$PCORE_BUILD/ppool map -j1 --shell 'sleep 0.6; echo out {}' ::: a b" /dev/null </dev/null
	[[ "$output" == *"out a"* ]]
	[[ "$output" == *$'\r'* ]]
}

@test "no progress gets between items that are typed" {
	PATH="$PCORE_BUILD/helpers:$PATH"
	run -0 ptydrive send=$'a\n' expect='out a' send=$'\004' -- ppool map -j1 --shell 'sleep 0.6; echo out {}'
	[[ "$output" != *done* ]]
	run -0 ptydrive send=$'a\n' expect='1 done' send=$'\004' -- ppool map -j1 --progress --shell 'sleep 0.6; echo out {}'
}

# ---- many

@test "20000 items leave memory and descriptors constant" {
	cat >probe <<-'SCRIPT'
	#!/bin/sh
	for i do
		case $i in 1001 | 19001)
			sed -n 's/VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$PPID/status >rss.$i
			ls /proc/$PPID/fd | wc -l >fds.$i ;;
		esac
	done
	SCRIPT
	chmod +x probe
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0
	seq 20000 >in
	run -0 ppool map -j2 -n 50 -a in ./probe
	[ -s rss.1001 ] || skip "the job's parent is not ppool"
	[ "$(cat fds.1001)" -ge "$(($(cat fds.19001) - 3))" ]
	[ "$(cat rss.19001)" -le $(($(cat rss.1001) + 512)) ]
}

@test "where no process can be made that is what is said" {
	uid=$((61000 + RANDOM % 1000))
	[ "$(id -u)" = 0 ] || skip "changing the user needs root"
	run -1 --separate-stderr timeout 30 setpriv --reuid=$uid --regid=$uid --clear-groups prlimit --nproc=3:3 \
		ppool map -j4 echo ::: a b
	[[ $stderr == *"cannot create a process: Resource temporarily unavailable"* ]]
	[[ $stderr != *"standard output"* ]]
}

@test "a directory that is not there is told before any job is started" {
	run -125 --separate-stderr ppool map --shell --chdir /nowhere echo ::: a b
	[ "$stderr" = "ppool: cannot change directory to '/nowhere': No such file or directory" ]
}

@test "800 short jobs leave no zombie and no process" {
	run -0 sh -c 'seq 800 | ppool map -j4 echo | cksum'
	[ "$output" = "$(seq 800 | cksum)" ]
	leaves_nothing
}
