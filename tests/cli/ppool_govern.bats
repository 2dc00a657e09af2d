# SPDX-License-Identifier: MIT
# ppool_govern.bats - what holds the jobs of ppool back, and how many may run, as its manual page describes it.
# shellcheck shell=bash disable=SC2016,SC2154,SC2030,SC2031

load support

setup() { common_setup; }
teardown() { common_teardown; }

# with_figures COMMAND...: with files of the test in the place of those below /proc that are here: meminfo, loadavg.
with_figures() {
	unshare --mount sh -c '
		for f in meminfo loadavg; do
			[ ! -e "$f" ] || mount --bind "$f" "/proc/$f" || exit 99
		done
		exec "$@"' sh "$@"
}

need_mounts() {
	need_root
	unshare --mount sh -c 'mount --bind /dev/null /proc/loadavg' 2>/dev/null || skip "needs a mount namespace"
}

# ---- load and memory

@test "limits that the machine keeps hold nothing back" {
	[ -r /proc/pressure/cpu ] || skip "needs pressure information in the kernel"
	run -0 --separate-stderr ppool map --memfree 1K --load 1000000 --pressure cpu=100 --pressure memory=100 --pressure io=100 \
		echo ::: 1 2 3
	[ "$output" = $'1\n2\n3' ]
	[ -z "$stderr" ]
	run -0 ppool map --memfree 0 --load 100000% echo ::: 1
	[ "$output" = 1 ]
}

@test "--memfree, --load and --pressure refuse bad values" {
	refuses ppool map -- --memfree '' -1 5Q
	refuses ppool map -- --load '' 0 0% 1.5 4x
	refuses ppool map -- --pressure '' cpu disk=5 cpu=-1 cpu=101
}

@test "a hold is told after a second, once, and INT ends it" {
	from=$(now_ms)
	env --default-signal=INT ppool map --memfree 1000T touch ::: ran ran2 2>err 3>&- &
	wait_for 5 nonempty err
	took "$from" 1000 6000
	kill -INT $!
	ends 130 $!
	[[ "$(cat err)" == "ppool: holding back new jobs: memory available "*" is below 1000T" ]]
	[ "$(wc -l <err)" = 1 ]
	[ ! -e ran ]
}

@test "HUP and TERM end a hold" {
	ppool map --memfree 1000T touch ::: ran 2>err.hup 3>&- &
	hup=$!
	ppool map --memfree 1000T touch ::: ran 2>err.term 3>&- &
	term=$!
	wait_for 5 nonempty err.hup
	wait_for 5 nonempty err.term
	kill -HUP $hup
	kill -TERM $term
	ends 129 $hup
	ends 143 $term
	[ ! -e ran ]
}

@test "a hold ends with the input when there is no job" {
	run -0 --separate-stderr timeout 10 ppool map --memfree 1000T touch ran </dev/null
	[ -z "$stderr" ]
	mkfifo in
	ppool map --memfree 1000T -a in touch 2>err 3>&- &
	exec 9>in 9>&-
	ends 0 $!
	[ ! -s err ]
}

@test "a load that is not below the limit holds jobs back" {
	sh -c 'while :; do :; done' 3>&- &
	busy=$!
	ppool map --load 1 touch ::: ran 2>err 3>&- &
	wait_for 5 nonempty err
	kill $!
	ends 143 $!
	kill $busy
	ends 143 $busy
	[[ "$(cat err)" == "ppool: holding back new jobs: load "[0-9]*" is not below 1" ]]
	[ ! -e ran ]
}

@test "jobs start when there is memory again, and are held back when there is none" {
	need_mounts
	echo 'MemAvailable: 1048576 kB' >meminfo
	with_figures ppool map -j1 --memfree 2G --shell 'touch started.{}; until [ -e go.{} ]; do sleep 0.02; done' ::: 1 2 2>err 3>&- &
	wait_for 5 nonempty err
	[ "$(cat err)" = "ppool: holding back new jobs: memory available 1G is below 2G" ]
	[ ! -e started.1 ]
	echo 'MemAvailable: 2097152 kB' >meminfo
	wait_for 5 exists started.1
	echo 'MemAvailable: 1572864 kB' >meminfo
	touch go.1 go.2
	wait_for 5 lines_are err 2
	[ "$(sed -n 2p err)" = "ppool: holding back new jobs: memory available 1.5G is below 2G" ]
	[ ! -e started.2 ]
	echo 'MemAvailable: 9999999 kB' >meminfo
	ends 0 $!
	[ -e started.2 ]
	[ "$(wc -l <err)" = 2 ]
}

@test "a further try of a failed job is held back too" {
	need_mounts
	echo '0 0 0 1/1 1' >loadavg
	with_figures ppool map --load 1 --retry 1 --retry-delay 0 --shell 'echo 0 0 0 9/9 1 >loadavg; echo x >>tries; false {}' ::: 1 2>err 3>&- &
	wait_for 5 nonempty err
	[ "$(cat err)" = "ppool: holding back new jobs: load 8 is not below 1" ]
	[ "$(cat tries)" = x ]
	echo '0 0 0 1/1 1' >loadavg
	ends 1 $!
	[ "$(cat tries)" = $'x\nx' ]
}

@test "a kernel without pressure information is an error before anything runs" {
	need_root
	unshare --mount sh -c 'mount -t tmpfs none /proc/pressure' 2>/dev/null || skip "needs a mount namespace and /proc/pressure"
	run -125 --separate-stderr unshare --mount sh -c 'mount -t tmpfs none /proc/pressure && exec "$@"' sh \
		ppool map --pressure io=50 touch ran ::: 1
	[ "$stderr" = "ppool: cannot read '/proc/pressure/io': No such file or directory" ]
	[ ! -e ran ]
}

@test "nothing is looked at and nobody is woken without a limit" {
	command -v strace >/dev/null || skip "needs strace"
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # looking for leaks does not work under strace
	for s in 0.1 1.3; do
		strace -o calls.$s ppool map sleep ::: $s
		run -1 grep -E '/proc/(meminfo|loadavg|pressure)' calls.$s
	done
	waits() { grep -cE '^(epoll_p?wait2?|io_uring_enter)\(' "$1"; }
	(($(waits calls.1.3) <= $(waits calls.0.1) + 2))
}

@test "--dry-run prints at once whatever the machine does" {
	run -0 --separate-stderr ppool map --dry-run --memfree 1000T echo ::: 1
	[ "$output" = "echo 1" ]
	[ -z "$stderr" ]
}

# ---- the number of jobs

# start_slots ARGS...: nine jobs that run until their file is there; each says that it started.
start_slots() {
	ppool map "$@" --shell 'touch up.{}; until [ -e end ]; do sleep 0.02; done' ::: 1 2 3 4 5 6 7 8 9 2>err 3>&- &
}

up() { # how many have started
	local files=(up.*)
	[ "${#files[@]}" = "$1" ] && [ -e "${files[0]}" ]
}

@test "-j FILE holds a number, a share or so many more, and is an error when it does not" {
	for n in 1 2% +0; do
		echo "$n" >slots
		run -0 ppool map -j ./slots echo ::: 1 2
		[ "$output" = $'1\n2' ]
	done
	for n in '' 0 '1 2'; do
		echo "$n" >slots
		run -125 --separate-stderr ppool map -j "$PWD/slots" touch ::: ran
		[[ "$stderr" == "ppool: cannot take the number of jobs from '$PWD/slots': "* ]]
	done
	run -125 --separate-stderr ppool map -j ./none touch ::: ran
	[ "$stderr" = "ppool: cannot take the number of jobs from './none': No such file or directory" ]
	mkfifo pipe
	run -125 --separate-stderr timeout 10 ppool map -j ./pipe touch ::: ran
	[ "$stderr" = "ppool: cannot take the number of jobs from './pipe': not a regular file" ]
	[ ! -e ran ]
}

@test "a changed -j FILE counts within a second" {
	echo 2 >slots
	start_slots -j ./slots
	wait_for 5 up 2
	from=$(now_ms)
	echo 4 >slots
	wait_for 5 up 4
	took "$from" 0 5000
	echo 5 >slots.new
	mv slots.new slots
	wait_for 5 up 5
	echo 1 >slots
	echo x >end
	ends 0 $!
	up 9
	[ ! -s err ]
}

@test "a -j FILE that goes wrong is told once and ignored" {
	echo 2 >slots
	start_slots -j ./slots
	wait_for 5 up 2
	echo many >slots
	wait_for 5 nonempty err
	[ "$(cat err)" = "ppool: cannot take the number of jobs from './slots': must hold N, N% or +N, ignoring" ]
	rm slots
	wait_for 5 lines_are err 2
	echo 3 >slots
	wait_for 5 up 3
	touch end
	ends 0 $!
	[ "$(wc -l <err)" = 2 ]
}

@test "USR1 adds a slot and USR2 takes one, but not the last" {
	start_slots -j1
	wait_for 5 up 1
	kill -USR1 $!
	wait_for 5 up 2
	kill -USR1 $!
	wait_for 5 up 3
	touch end
	ends 0 $!
	[ ! -s err ]

	rm -f up.* end
	ppool map -j2 --shell 'touch up.{}; until [ -e end.{} ]; do sleep 0.02; done' ::: 1 2 3 4 5 2>err 3>&- &
	wait_for 5 up 2
	for _ in 1 2 3; do
		kill -USR2 $!
		wait_for 5 none_pending $!
	done
	touch end.1 end.2
	wait_for 5 up 3
	touch end.3
	wait_for 5 up 4
	sleep 0.2
	up 4
	touch end.4 end.5
	ends 0 $!
	[ ! -s err ]
}

@test "a raise stays within what the limits allow" {
	seq 40 >in
	echo 2 >slots
	(ulimit -n 64; exec ppool map -j ./slots -a in --shell 'echo {} >up.{}; until [ -e end ]; do sleep 0.02; done' 2>err 3>&-) &
	wait_for 5 up 2
	echo 1000 >slots
	wait_for 5 nonempty err
	touch end
	ends 0 $!
	[[ "$(cat err)" == "ppool: running "[0-9]*" jobs at a time instead of 1000: the limits on descriptors and processes allow no more" ]]
	cat up.* | sort -n | cmp - in
}

# ---- progress

@test "--progress=json writes a line every half second and one at the end" {
	run -1 --separate-stderr ppool map -j1 --progress=json --shell 'sleep 0.6; exit {}' ::: 0 1 0
	((${#stderr_lines[@]} >= 3 && ${#stderr_lines[@]} <= 12))
	python3 -c 'import json, sys
for line in sys.stdin:
    d = json.loads(line)
    assert set(d) >= set("done failed running total rate eta_s elapsed_s".split()), d
    assert d["total"] == 3 and d["running"] in (0, 1), d' <<<"$stderr"
	[[ "${stderr_lines[-1]}" == '{"done":3,"failed":1,"running":0,"total":3,'* ]]
}

@test "--progress knows no total before the input ends, and reads no item ahead" {
	mkfifo in
	ppool map -j1 --progress=json -a in --shell ': {}; until [ -e end ]; do sleep 0.02; done' 2>err 3>&- &
	exec 9>in
	printf '1\n2\n' >&9
	wait_for 5 grep -q '^{"done":0,"failed":0,"running":1,"total":null,"rate":0.000,"eta_s":null,' err
	exec 9>&-
	touch end
	ends 0 $!
	[[ "$(tail -n 1 err)" == '{"done":2,"failed":0,"running":0,"total":2,'* ]]
}

@test "--progress=json of no items is a line with zeros" {
	run -0 --separate-stderr ppool map --progress=json echo </dev/null
	[[ "$stderr" == '{"done":0,"failed":0,"running":0,"total":0,"rate":0.000,"eta_s":null,"elapsed_s":0.0'*'}' ]]
	[ -z "$output" ]
}

@test "--progress refuses what is no style" {
	run -125 --separate-stderr ppool map --progress=xml touch ::: ran
	[ "${stderr_lines[0]}" = "ppool: invalid value 'xml' for '--progress': must be bar or json" ]
	[ ! -e ran ]
}
