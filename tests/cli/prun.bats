# SPDX-License-Identifier: MIT
# prun.bats - prun as its manual page describes it.
# shellcheck shell=bash disable=SC2016,SC1003,SC2154,SC2031

load support

setup() { common_setup; }
teardown() { common_teardown; }

field() { tail -n 1 "$1" | jq -c "$2"; }

# ---- usage

@test "prun --help goes to stdout and exits 0" {
	run -0 --separate-stderr prun --help
	[[ "$output" == "usage: prun "* ]]
	[ -z "$stderr" ]
	run -0 prun -h
}

@test "prun --version names tool, package and version" {
	run -0 prun --version
	[[ "$output" == "prun (pcore) "[0-9]* ]]
	run -0 prun -V
}

@test "prun exits 125 when help cannot be written" {
	run -125 sh -c 'prun --help >/dev/full'
	[ "$output" = "prun: cannot write to standard output: No space left on device" ]
}

@test "prun without a command is a usage error" {
	run -125 --separate-stderr prun
	[[ "$stderr" == *"try 'prun --help'"* ]]
	[ -z "$output" ]
	run -125 prun --timeout 5
}

@test "prun does not run an empty command" {
	run -125 prun ''
	[[ "${lines[0]}" == "prun: the command is empty" ]]
}

@test "prun names an unknown option and points to --help" {
	run -125 --separate-stderr prun --no-such-option touch ran
	[[ "${stderr_lines[0]}" == "prun: "*"--no-such-option"* ]]
	[[ "$stderr" == *"try 'prun --help'"* ]]
	[ ! -e ran ]
}

@test "prun names an option whose value is missing" {
	run -125 prun --timeout
	[[ "${lines[0]}" == *"--timeout"* ]]
}

@test "prun takes an option cut short when it is unambiguous" {
	run -0 prun --timeo 5 true
	run -125 prun --st x true
	[[ "${lines[0]}" == *"--st"* ]]
}

@test "prun's options end at the command" {
	run -0 prun echo --timeout x -V
	[ "$output" = "--timeout x -V" ]
	run -0 prun -- echo -- a
	[ "$output" = "-- a" ]
}

@test "prun passes arguments byte for byte" {
	make_args
	run -0 prun args '' 'a  b' '$HOME' '*' $'\xff\xfe' '"q"' "it's" $'new\nline'
	[ "$output" = "8:[][a  b][\$HOME][*]["$'\xff\xfe'']["q"][it'"'"'s]['$'new\nline'']' ]
}

@test "prun escapes control characters in its messages" {
	run -127 prun $'no\x1b[31m\nsuch'
	[ "${#lines[@]}" = 1 ]
	[[ "$output" == *'no\x1b[31m\nsuch'* ]]
}

@test "PCORE_OPTIONS_PRUN gives default options" {
	PCORE_OPTIONS_PRUN='--env A=1 --umask 077' run -0 prun sh -c 'echo $A; umask'
	[ "$output" = $'1\n0077' ]
	PCORE_OPTIONS_PRUN='--bogus' run -125 prun true
}

@test "PCORE_LOOP forces a backend and fails clearly" {
	PCORE_LOOP=epoll run -3 prun sh -c 'exit 3'
	PCORE_LOOP=bogus run -125 prun touch ran
	[[ "$output" == *bogus* ]]
	[ ! -e ran ]
}

# ---- exit status

@test "prun passes every exit status through" {
	for s in 0 1 2 3 47 65 75 123 124 125 126 127 128 129 255; do
		run "-$s" prun sh -c "exit $s"
		[ -z "$output" ]
	done
}

@test "the report tells the command's own 124 from a time-out" {
	run -124 prun --timeout 9 --report r sh -c 'exit 124'
	[ "$(field r '[.exit, .timed_out, .killed_by]')" = '[124,false,null]' ]
	run -124 prun --timeout 0.1 --report r sleep 9
	[ "$(field r '[.exit, .timed_out, .killed_by]')" = '[null,true,"timeout"]' ]
}

@test "prun exits 128+N when the command dies of signal N" {
	ulimit -c 0
	for s in TERM KILL SEGV ABRT USR1 HUP PIPE RTMIN+1; do
		run prun --report r bash -c "kill -$s \$\$"
		[ "$status" = $((128 + $(kill -l "$s"))) ]
		[ "$(field r .signal)" = "\"SIG$s\"" ]
		[ "$(field r .exit)" = null ]
	done
}

@test "prun dies of the command's signal itself" {
	run -0 perl -e 'system(@ARGV); print $? & 127' prun sh -c 'kill -TERM $$'
	[ "$output" = 15 ]
	run -0 perl -e 'system(@ARGV); print $? & 127' prun sh -c 'kill -KILL $$'
	[ "$output" = 9 ]
}

@test "prun leaves no core file of its own" {
	(ulimit -c unlimited && prun sh -c 'ulimit -c 0; kill -SEGV $$') || status=$?
	[ "$status" = 139 ]
	run -0 sh -c 'ls core* 2>/dev/null | wc -l'
	[ "$output" = 0 ]
}

@test "prun exits 127 and names the command that is missing" {
	run -127 prun no-such-command
	[ "$output" = "prun: cannot run 'no-such-command': No such file or directory" ]
	run -127 prun /no/such/command
	[ "$output" = "prun: cannot run '/no/such/command': No such file or directory" ]
}

@test "prun exits 126 for a file that is not executable" {
	echo 'echo hi' >plain
	chmod 644 plain
	run -126 prun ./plain
	[[ "$output" == "prun: cannot run './plain': Permission denied" ]]
}

@test "prun exits 126 for a directory" {
	mkdir dir
	run -126 prun ./dir
	[[ "$output" == "prun: cannot run './dir': "* ]]
}

@test "prun exits 127 and names script and interpreter when the interpreter is missing" {
	printf '#!/nope\n' >script
	chmod 755 script
	run -127 prun ./script
	[[ "$output" == *./script* ]]
	[[ "$output" == *"interpreter '/nope'"* ]]
}

@test "prun exits 126 for a script without an interpreter line and says why" {
	printf 'echo hi\n' >script
	chmod 755 script
	run -126 prun ./script
	[[ "$output" == "prun: cannot run './script': Exec format error"*"#!/bin/sh"* ]]
}

@test "prun goes on in PATH past a file it may not run" {
	mkdir one two
	echo x >one/tool
	printf '#!/bin/sh\necho two\n' >two/tool
	chmod 755 two/tool
	run -0 prun --env "PATH=$PWD/one:$PWD/two:/bin" tool
	[ "$output" = two ]
}

# ---- standard input

@test "standard input passes through" {
	run -0 sh -c 'printf "a\nb" | prun cat'
	[ "$output" = $'a\nb' ]
}

@test "--stdin reads a file" {
	printf 'one\0two' >in
	prun --stdin in cat >out
	cmp in out
}

@test "--stdin null is /dev/null and ./null a file" {
	echo data >null
	run -0 sh -c 'echo no | prun --stdin null cat'
	[ -z "$output" ]
	run -0 prun --stdin ./null cat
	[ "$output" = data ]
}

@test "--stdin names a file that is missing" {
	run -125 prun --stdin missing touch ran
	[ "$output" = "prun: cannot open 'missing': No such file or directory" ]
	[ ! -e ran ]
}

@test "--stdin-data gives exactly these bytes, then end of file" {
	printf 'a b\n\xff' >want
	prun --stdin-data $'a b\n\xff' cat >got
	cmp want got
	run -0 prun --stdin-data '' cat
	[ -z "$output" ]
}

@test "--stdin-data larger than a pipe reaches a command that writes before it reads" {
	data=$(printf '%0100000d' 7)
	run -0 sh -c 'prun --stdin-data "$1" sh -c "head -c 200000 /dev/zero; cat" | tail -c 100000 | md5sum' sh "$data"
	[ "$output" = "$(printf %s "$data" | md5sum)" ]
}

@test "--stdin-data that the command does not read is no error" {
	data=$(printf '%0100000d' 7)
	run -0 prun --stdin-data "$data" true
	run -5 prun --stdin-data "$data" sh -c 'exec 0<&-; exit 5'
	[ -z "$output" ]
}

@test "--stdin and --stdin-data exclude each other" {
	run -125 prun --stdin null --stdin-data x touch ran
	[[ "${lines[0]}" == *--stdin*--stdin-data* ]]
	[ ! -e ran ]
}

# ---- standard output and error

@test "--stdout empties its file first" {
	echo old and long >out
	run -0 prun --stdout out echo new
	[ -z "$output" ]
	[ "$(cat out)" = new ]
}

@test "--stderr empties its file first" {
	echo old and long >err
	run -0 prun --stderr err sh -c 'echo new >&2; echo out'
	[ "$output" = out ]
	[ "$(cat err)" = new ]
}

@test "--append adds to the files of --stdout and --stderr" {
	echo o1 >out
	echo e1 >err
	run -0 prun --append --stdout out --stderr err sh -c 'echo o2; echo e2 >&2'
	[ "$(cat out)" = $'o1\no2' ]
	[ "$(cat err)" = $'e1\ne2' ]
}

@test "--append needs a file" {
	run -125 prun --append touch ran
	[[ "${lines[0]}" == *--append*--stdout* ]]
	run -125 prun --append --stderr stdout touch ran
	[ ! -e ran ]
}

@test "--stderr stdout merges in the order of the writes" {
	run -0 --separate-stderr prun --stderr stdout sh -c 'echo 1; echo 2 >&2; echo 3'
	[ "$output" = $'1\n2\n3' ]
	[ -z "$stderr" ]
	run -0 prun --stdout f --stderr stdout sh -c 'echo 1; echo 2 >&2; echo 3'
	[ "$(cat f)" = $'1\n2\n3' ]
}

@test "--stdout and --stderr with the same file and --append keep both" {
	run -0 prun --append --stdout f --stderr f sh -c 'echo 1; echo 2 >&2; echo 3'
	[ "$(cat f)" = $'1\n2\n3' ]
}

@test "--stdout and --stderr name a file that cannot be opened" {
	for o in --stdout --stderr; do
		run -125 prun "$o" no/dir/f touch ran
		[ "$output" = "prun: cannot open 'no/dir/f': No such file or directory" ]
		[ ! -e ran ]
	done
}

@test "files of prun are looked up before --chdir" {
	mkdir d
	echo in >in
	run -0 prun --chdir d --stdin in --stdout out --stderr err --report r sh -c 'cat; pwd; echo e >&2'
	[ "$(cat out)" = $'in\n'"$PWD/d" ]
	[ "$(cat err)" = e ]
	[ -s r ]
}

@test "a command that cannot write to /dev/full fails by itself" {
	run sh -c 'prun /bin/echo x 2>/dev/null >/dev/full'
	[ "$status" = 1 ]
}

# ---- closed and inherited descriptors

@test "a standard descriptor that was closed is closed in the command" {
	for closed in '0<&-' '2>&- 1>&-' '0<&- 1>&-'; do
		run -0 sh -c "prun --stdout got sh -c 'for i in 0 1 2; do test -e /proc/\$\$/fd/\$i && printf \$i; done; :' $closed"
		want=012
		[[ $closed != *'0<'* ]] || want=${want/0/}
		[[ $closed != *'2>'* ]] || want=${want/2/}
		[ "$(cat got)" = "$want" ]
	done
}

@test "no message lands in a file when stderr is closed" {
	run -127 sh -c 'prun --stdout f no-such-command 2>&-'
	[ ! -s f ]
	run -127 sh -c 'prun --report r no-such-command 0<&- 1>&- 2>&-'
	jq -e . r
	[ "$(wc -l <r)" = 1 ]
}

@test "prun works with all standard descriptors closed" {
	run -7 sh -c 'prun sh -c "exit 7" 0<&- 1>&- 2>&-'
	run -124 sh -c 'prun --timeout 0.1 sleep 9 0<&- 1>&- 2>&-'
}

@test "the command gets none of 2000 inherited descriptors" {
	run -0 perl -e '$^F = 5000; open $h[$_], "<", "/dev/null" or exit 9 for 0 .. 900; exec @ARGV' \
		prun perl -e 'for (0 .. 1100) { print "$_ " if -e "/proc/self/fd/$_" }'
	[ "$output" = "0 1 2 " ]
	ulimit -n 4096 2>/dev/null || skip "cannot raise the limit of open files"
	run -0 perl -e '$^F = 5000; open $h[$_], "<", "/dev/null" or exit 9 for 0 .. 2000; exec @ARGV' \
		prun perl -e 'for (0 .. 4095) { print "$_ " if -e "/proc/self/fd/$_" }'
	[ "$output" = "0 1 2 " ]
}

@test "prun works with 20 descriptors and hands the limit on" {
	run -0 sh -c 'ulimit -n 20; prun --timeout 5 --report r sh -c "ulimit -Sn"'
	[ "$output" = 20 ]
}

@test "prun says that it cannot create a process" {
	need_root
	user_setup
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # looking for leaks takes a process
	run -125 "${as_user[@]}" prlimit --nproc=1:1 prun touch ran
	[[ "$output" == "prun: "*"Resource temporarily unavailable" ]]
	[ ! -e ran ]
}

@test "prun works in a directory that was deleted" {
	mkdir gone
	run -3 sh -c 'cd gone && rmdir "$PWD" && exec prun sh -c "exit 3"'
}

# ---- where and how

@test "--chdir runs in the directory" {
	mkdir d
	run -0 prun --chdir d pwd
	[ "$output" = "$PWD/d" ]
}

@test "--chdir names a directory that is missing, not the command" {
	run -125 prun --chdir nowhere touch ran
	[ "$output" = "prun: cannot change directory to 'nowhere': No such file or directory" ]
}

@test "a relative command is found after --chdir" {
	mkdir d
	printf '#!/bin/sh\necho here\n' >d/tool
	chmod 755 d/tool
	run -0 prun --chdir d ./tool
	[ "$output" = here ]
	run -127 prun --chdir d d/tool
}

@test "--env sets a variable, an empty value is one, the last one stands" {
	run -0 prun --env A=1 --env B= --env C=x=y --env A=2 sh -c 'echo "$A,${B-unset},$C"'
	[ "$output" = '2,,x=y' ]
}

@test "--env keeps bytes that are no text" {
	run -0 prun --env A=$'\xff\xc3' printenv A
	[ "$output" = $'\xff\xc3' ]
}

@test "--env refuses what is no NAME=VALUE" {
	refuses prun -- --env '' '=x' NOVALUE
}

@test "--unset removes a variable" {
	A=1 run -0 prun --unset A --unset NOT_THERE sh -c 'echo ${A-unset}'
	[ "$output" = unset ]
}

@test "--unset refuses what is no name" {
	refuses prun -- --unset '' 'A=1'
}

@test "--clean-env leaves exactly what --env gives, in whatever order" {
	run -0 prun --env A=1 --unset A --clean-env /usr/bin/env
	[ "$output" = A=1 ]
	run -0 prun --clean-env /usr/bin/env
	[ -z "$output" ]
}

@test "the command is searched for in its own PATH" {
	mkdir bin
	printf '#!/bin/sh\necho mine\n' >bin/mytool
	chmod 755 bin/mytool
	run -127 prun mytool
	run -0 prun --env "PATH=$PWD/bin:/bin" mytool
	[ "$output" = mine ]
}

@test "the command stays in prun's process group" {
	run -0 sh -c 'perl -e "print getpgrp(0), q( )"; prun perl -e "print getpgrp(0)"'
	[ "${output% *}" = "${output#* }" ]
}

@test "--new-session makes a session of its own" {
	run -0 prun --new-session perl -e 'use POSIX; print POSIX::getpgrp() == $$ ? "own" : "shared"; print " ", (split " ", `cat /proc/$$/stat`)[5] == $$ ? "own" : "shared"'
	[ "$output" = "own own" ]
}

@test "--pid-namespace shows the command only its own processes" {
	need_pidns
	run -0 prun --pid-namespace --report r sh -c 'echo $$; ls -d /proc/[0-9]* | wc -l; exec true'
	[ "${lines[0]}" -le 3 ]
	[ "${lines[1]}" -le 5 ]
	[ "$(field r .method)" = '"pid-namespace"' ]
	run -5 prun --pid-namespace sh -c 'exit 5'
	run -137 prun --pid-namespace sh -c 'sh -c "kill -KILL \$PPID"; sleep 1'
	run -127 prun --pid-namespace no-such-command
}

@test "--pid-namespace works for an ordinary user" {
	need_pidns
	user_setup
	run -4 "${as_user[@]}" prun --pid-namespace --report r sh -c 'exit 4'
	[ "$(field r .method)" = '"pid-namespace"' ]
}

@test "--nice adds to the nice value" {
	run -0 prun --nice 3 nice
	[ "$output" = $(($(nice) + 3)) ]
}

@test "--nice without the right to it is an error that names it" {
	user_setup
	run -125 "${as_user[@]}" prun --nice -5 touch ran
	[[ "$output" == "prun: "*nice*"Permission denied" || "$output" == "prun: "*nice*"not permitted" ]]
	[ ! -e ran ]
}

@test "--nice refuses what is out of range" {
	refuses prun -- --nice '' 20 -21 x 1.5
}

@test "--umask sets the mask" {
	run -0 prun --umask 027 sh -c umask
	[ "$output" = 0027 ]
	run -0 prun --umask 0 sh -c umask
	[ "$output" = 0000 ]
}

@test "--umask refuses what is no octal mask" {
	refuses prun -- --umask '' 8 1000 -1 x 0x7
}

@test "--affinity runs on these CPUs" {
	cpu=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
	run -0 prun --affinity "$cpu" nproc
	[ "$output" = 1 ]
}

@test "--affinity takes lists and ranges" {
	[ "$(nproc)" -ge 2 ] || skip "needs two CPUs"
	run -0 prun --affinity 0-1 nproc
	[ "$output" = 2 ]
	run -0 prun --affinity 0,1 nproc
	[ "$output" = 2 ]
}

@test "--affinity refuses what is no list" {
	refuses prun -- --affinity '' x 1-0 0, ,0 0-- -1 99999999
}

@test "--limit sets soft and hard limits" {
	run -0 prun --limit nofile=64 sh -c 'ulimit -Sn; ulimit -Hn'
	[ "$output" = $'64\n64' ]
	run -0 prun --limit nofile=64:128 --limit core=0 sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c'
	[ "$output" = $'64\n128\n0' ]
	run -125 prun --limit nofile=1K true
	run -0 prun --limit fsize=1K prlimit --fsize --raw --noheadings --output SOFT
	[ "$output" = 1024 ]
}

@test "--limit knows every name" {
	for name in as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack; do
		value=$(prlimit "--$name" --raw --noheadings --output SOFT,HARD | tr -s ' ' :)
		run -0 prun --limit "$name=$value" true
	done
}

@test "--limit refuses unknown names and bad values" {
	refuses prun -- --limit '' nofile nofile= =5 nope=5 nofile=x nofile=-1 nofile=5:4 nofile=5: nofile=5:6:7 \
		NOFILE=5 fsize=99999999999999999999
}

@test "a limit that may not be set is an error that names it" {
	user_setup
	run -125 "${as_user[@]}" prlimit --nofile=100:100 prun --limit nofile=200 touch ran
	[[ "$output" == "prun: "*nofile*"not permitted" ]]
}

# ---- time limit

@test "--timeout ends the command and exits 124" {
	from=$(now_ms)
	run -124 prun --timeout 0.5 --report r sleep 9
	took "$from" 500 8000
	[ "$(field r '[.timed_out, .signal, .killed_by]')" = '[true,"SIGTERM","timeout"]' ]
}

@test "what the command wrote before the time-out is delivered" {
	in_time before prun --timeout LIMIT sh -c 'echo before; exec sleep 77'
}

@test "--timeout does not touch a command that is quicker" {
	from=$(now_ms)
	run -6 prun --timeout 20 sh -c 'exit 6'
	took "$from" 0 15000
}

@test "--kill-after kills a command that ignores the signal" {
	in_time ready prun --timeout LIMIT --kill-after 0.2 --report r sh -c 'trap "" TERM; echo ready; sleep 77 & wait; sleep 77'
	[ "$(field r ".wall_s >= $limit + 0.2 and .wall_s < $limit + 1.9")" = true ]
	[ "$(field r '[.timed_out, .signal]')" = '[true,"SIGKILL"]' ]
}

@test "--kill-after 0 kills at once" {
	from=$(now_ms)
	run -124 prun --timeout 0.2 --kill-after 0 env --ignore-signal=TERM sleep 9
	took "$from" 200 2150
}

@test "--kill-after inf never kills" {
	in_time asked prun --timeout LIMIT --kill-after inf --report r perl -e '$SIG{TERM} = sub { print "asked"; exit 3 }; sleep 1 for 1 .. 20'
	[ "$(field r '[.timed_out, .exit]')" = '[true,3]' ]
}

@test "--signal names the signal of the time-out" {
	run -124 prun --timeout 0.2 --signal INT --report r env --default-signal=INT sleep 9
	[ "$(field r .signal)" = '"SIGINT"' ]
	for s in USR1 SIGUSR1 usr1 10; do
		run -124 prun --timeout 0.1 --signal "$s" --report r sleep 9
		[ "$(field r .signal)" = '"SIGUSR1"' ]
	done
}

@test "--timeout ends a command that is stopped" {
	from=$(now_ms)
	run -124 prun --timeout 0.3 --kill-after 60 sh -c 'kill -STOP $$; sleep 77'
	took "$from" 300 20000
}

@test "--timeout 0 and inf mean no limit, a long one is accepted" {
	for d in 0 inf 1000000000 1d 1h30m 100ms; do
		run -0 prun --timeout "$d" true
	done
	run -0 prun --timeout 0 sleep 0.1
}

@test "--timeout and --kill-after refuse what is no duration" {
	refuses prun -- --timeout '' -1 nan 5x 0x10 1e400 ' 5' '5 ' 25:00 -0.5 s 99999999999999999999
	refuses prun -- --kill-after '' -1 nan 5x
}

@test "--signal refuses what is no signal" {
	refuses prun -- --signal '' NOPE 0 -1 999 SIG
}

# ---- retry

@test "--retry tries until the command succeeds" {
	run -0 prun --retry 5 --retry-delay 0 --report r sh -c 'echo x >>count; [ $(wc -l <count) -ge 3 ]'
	[ "$(wc -l <count)" = 3 ]
	[ "$(field r '[.exit, (.attempts | length)]')" = '[0,3]' ]
	[ "$(field r '[.attempts[].exit]')" = '[1,1,0]' ]
}

@test "--retry gives up after N further tries with the last status" {
	run -4 prun --retry 2 --retry-delay 0 sh -c 'echo x >>count; exit $((1 + $(wc -l <count)))'
	[ "$(wc -l <count)" = 3 ]
}

@test "--retry counts a signal and a time-out as failures" {
	run -0 prun --retry 1 --retry-delay 0 sh -c 'mkdir d || exit 0; kill -KILL $$'
	run -0 prun --retry 1 --retry-delay 0 --timeout 1 --report r sh -c 'mkdir e || exit 0; exec sleep 77'
	[ "$(field r '[.attempts[].timed_out]')" = '[true,false]' ]
	[ "$(field r '[.timed_out, .exit]')" = '[false,0]' ]
}

@test "--retry does not try again what cannot be run" {
	from=$(now_ms)
	run -127 prun --retry 5 no-such-command
	[ "${#lines[@]}" = 1 ]
	took "$from" 0 4000
}

@test "--retry-delay waits between two tries" {
	from=$(now_ms)
	run -1 prun --retry 2 --retry-delay 0.2 false
	took "$from" 400 8000
}

@test "every try gets the data of --stdin-data and --stdin" {
	run -1 prun --retry 2 --retry-delay 0 --stdin-data ab sh -c 'cat; false'
	[ "$output" = ababab ]
	printf cd >in
	run -1 prun --retry 1 --retry-delay 0 --stdin in --stdout out sh -c 'cat; false'
	[ "$(cat out)" = cdcd ]
}

@test "TERM between two tries ends prun" {
	prun --retry 5 --retry-delay 60 sh -c 'touch tried; exit 1' 3>&- &
	wait_for 5 exists tried
	wait_for 5 sh -c "[ -z \"\$(pgrep -P $! sh)\" ]"
	kill -TERM $!
	ends 143 $!
}

@test "--retry and --retry-delay refuse bad values" {
	refuses prun -- --retry '' -1 x 1.5 99999999999999999999
	refuses prun -- --retry-delay '' -1 x
}

# ---- the process tree

tree_dies_at_timeout() {
	local limit
	for limit in 1 4 15; do # on a busy machine the family may not be complete so soon
		rm -f f
		run -124 "$@" --timeout "$limit" --kill-after 0.2 --report r family f
		leaves_nothing
		[ "$(wc -l <f)" != 3 ] || return 0
	done
	return 1
}

tree_dies_with_prun() {
	"$@" family f 3>&- &
	wait_for 5 exists f
	wait_for 5 lines_are f 3
	kill -KILL $!
	ends 137 $!
	wait_for 3 nothing_left
}

@test "a time-out leaves nothing of the tree, as root in a control group" {
	need_cgroup
	make_family
	tree_dies_at_timeout prun
	[ "$(field r .method)" = '"cgroup"' ]
}

@test "a time-out leaves nothing of the tree, as an ordinary user" {
	user_setup
	tree_dies_at_timeout "${as_user[@]}" prun
	[ "$(field r .method)" = '"supervisor"' ] || [ "$(id -u)" != 0 ]
}

@test "prun runs nothing where it could not end what it has started" {
	[ "${PCORE_VARIANT:-release}" = release ] || skip "a sanitizer needs /proc itself"
	unshare -rm mount -t tmpfs none /proc 2>/dev/null || skip "needs a mount namespace"
	run -125 --separate-stderr unshare -rm sh -c 'mount -t tmpfs none /proc && prun --timeout 1 touch ran'
	[ "$stderr" = "prun: cannot start the supervisor process '/proc/thread-self/children': No such file or directory" ]
	[ ! -e ran ]
}

@test "a time-out leaves nothing of the tree, in a PID namespace" {
	need_pidns
	make_family
	tree_dies_at_timeout prun --pid-namespace
}

@test "prun killed by KILL leaves nothing of the tree, as root in a control group" {
	need_cgroup
	make_family
	tree_dies_with_prun prun
}

@test "prun killed by KILL leaves nothing of the tree, as an ordinary user" {
	user_setup
	tree_dies_with_prun "${as_user[@]}" prun
}

@test "prun killed by KILL leaves nothing of the tree, in a PID namespace" {
	need_pidns
	make_family
	tree_dies_with_prun prun --pid-namespace
}

@test "what the command leaves running is ended after --linger and counted" {
	make_family
	from=$(now_ms)
	run -0 prun --report r family f 0
	took "$from" 100 20000
	leaves_nothing
	[ "$(field r .survivors)" -ge 3 ]
}

@test "what the command leaves running is ended for an ordinary user too" {
	user_setup
	run -0 "${as_user[@]}" prun --report r family f 0
	leaves_nothing
	[ "$(field r .survivors)" -ge 3 ]
}

@test "a stray that holds a pipe does not hold up prun" {
	from=$(now_ms)
	run -0 sh -c 'prun sh -c "sleep 77 & echo hi" | cat'
	[ "$output" = hi ]
	took "$from" 0 20000
}

@test "a stray that ignores TERM is killed after --kill-after" {
	run -0 prun --kill-after 0.2 --report r sh -c 'env --ignore-signal=TERM sleep 77 & exit 0'
	leaves_nothing
}

@test "--linger lets a stray finish" {
	from=$(now_ms)
	run -0 prun --linger 20 sh -c '(sleep 0.4; echo late >f) & exit 0'
	[ "$(cat f)" = late ]
	took "$from" 400 15000
}

@test "--linger refuses what is no duration" {
	refuses prun -- --linger '' -1 5x
}

@test "--leave lets a stray live" {
	for as in root user; do
		[ "$as" = root ] || user_setup
		from=$(now_ms)
		run -0 "${as_user[@]}" prun --leave --report r sh -c 'sleep 77 >/dev/null 2>&1 & echo $! >pid'
		took "$from" 0 20000
		kill -0 "$(cat pid)"
		kill -KILL "$(cat pid)"
		rm -f pid
	done
}

@test "--leave and --pid-namespace exclude each other" {
	run -125 prun --leave --pid-namespace touch ran
	[[ "${lines[0]}" == *--pid-namespace*--leave* ]]
	[ ! -e ran ]
}

@test "--timeout ends the tree with --leave too" {
	make_family
	run -124 prun --leave --timeout 1 --kill-after 0.2 family f
	leaves_nothing
}

# ---- report

@test "--report writes every member of the interface" {
	run -0 prun --report r true
	[ "$(wc -l <r)" = 1 ]
	want='["argv","attempts","core","exit","invol_switches","killed_by","maxrss_kib","method","pid","read_bytes","setup_error","signal","start","survivors","sys_s","timed_out","user_s","vol_switches","wall_s","write_bytes"]'
	[ "$(field r "$want - keys")" = '[]' ]
	[ "$(field r '[.argv, .exit, .signal, .core, .timed_out, .killed_by, .setup_error, .survivors]')" = \
		'[["true"],0,null,false,false,null,null,0]' ]
	[[ "$(field r .start)" =~ ^\"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z\"$ ]]
	[ "$(field r '(.pid > 0) and (.wall_s > 0) and (.wall_s < 5) and (.maxrss_kib > 0)')" = true ]
	[ "$(field r '.attempts | length')" = 1 ]
	[ "$(field r '["exit","signal","timed_out","start","wall_s"] - (.attempts[0] | keys)')" = '[]' ]
}

@test "--report appends" {
	prun --report r true
	prun --report r sh -c 'exit 3' || true
	[ "$(jq -c .exit r | tr '\n' ' ')" = '0 3 ' ]
}

@test "--report fd:N writes to an open descriptor that the command does not get" {
	run -0 sh -c 'prun --report fd:9 sh -c "test -e /proc/\$\$/fd/9 || echo none" 9>r'
	[ "$output" = none ]
	[ "$(field r .exit)" = 0 ]
	run -0 --separate-stderr prun --report fd:2 echo data
	[ "$output" = data ]
	[ "$(jq .exit <<<"$stderr")" = 0 ]
}

@test "--report holds arguments that are no text" {
	run -0 prun --report r true '"q"' $'new\nline' $'\xff' 'ä' '\'
	[ "$(field r '.argv[1:3]')" = '["\"q\"","new\nline"]' ]
	[ "$(field r '.argv[4:6]')" = '["ä","\\"]' ]
	grep -q '\\udcff' r
}

@test "--report tells of a command that could not be run, and of the step" {
	run -127 prun --report r no-such-command
	[ "$(field r '[.setup_error.step, .setup_error.subject]')" = '["exec","no-such-command"]' ]
	[ "$(field r '[.exit, .signal, .pid]')" = '[null,null,null]' ]
	run -125 prun --report r --chdir nowhere true
	[ "$(field r '[.setup_error.step, .setup_error.subject]')" = '["chdir","nowhere"]' ]
	run -125 prun --report r --stdin missing true
	[ "$(field r '[.setup_error.step, .setup_error.subject]')" = '["open","missing"]' ]
}

@test "--report measures CPU time and memory" {
	run -0 prun --report r perl -e '$x = "x" x 100_000_000; 1 while (times)[0] < 0.3'
	[ "$(field r '(.user_s + .sys_s) >= 0.28 and .user_s < 3')" = true ]
	[ "$(field r '.maxrss_kib >= 97000 and .maxrss_kib < 300000')" = true ]
	run -0 prun --report r true
	[ "$(field r '.user_s < 0.2 and .maxrss_kib < 50000')" = true ]
}

@test "--report names a file that cannot be written before the command runs" {
	run -125 prun --report no/dir/r touch ran
	[ "$output" = "prun: cannot open 'no/dir/r': No such file or directory" ]
	[ ! -e ran ]
}

@test "--report on a full disk is an error" {
	run -125 prun --report /dev/full true
	[[ "$output" == "prun: "*"No space left on device" ]]
}

@test "--report refuses a descriptor that is not open" {
	for n in '' x -1 777; do
		run -125 prun --report "fd:$n" touch ran
		[[ "${lines[0]}" == "prun: "*"'fd:$n'"* ]]
		[ ! -e ran ]
	done
}

# ---- signals

# A command that writes the signals it gets to the file f, and ends when the file end exists.
make_catcher() {
	cat >catcher <<-'SCRIPT'
	#!/usr/bin/perl
	$| = 1;
	for my $s (qw(TERM INT HUP QUIT USR1 USR2 WINCH CONT)) {
		$SIG{$s} = sub { open my $f, ">>", "f"; print $f "$s\n" };
	}
	open my $r, ">", "ready";
	for (1 .. 1000) { last if -e "end"; select undef, undef, undef, 0.01 }
	exit 42;
	SCRIPT
	chmod +x catcher
}

@test "prun passes each signal on once" {
	make_catcher
	for s in USR1 USR2 WINCH CONT HUP QUIT INT; do
		rm -f ready end f
		env --default-signal=INT,QUIT prun ./catcher 3>&- &
		wait_for 5 exists ready
		kill "-$s" $!
		wait_for 5 nonempty f
		touch end
		ends 42 $!
		[ "$(cat f)" = "$s" ]
	done
}

@test "prun passes signals on as an ordinary user" {
	user_setup
	make_catcher
	"${as_user[@]}" prun ./catcher 3>&- &
	wait_for 5 exists ready
	kill -TERM $!
	wait_for 5 nonempty f
	touch end
	ends 42 $!
	[ "$(cat f)" = TERM ]
}

@test "prun dies of TERM when the command does" {
	prun --report r sh -c 'touch ready; exec sleep 77' 3>&- &
	wait_for 5 exists ready
	kill -TERM $!
	ends 143 $!
	[ "$(field r '[.signal, .killed_by]')" = '["SIGTERM","signal:SIGTERM"]' ]
}

@test "a second TERM or INT kills the tree" {
	make_catcher
	for s in TERM INT; do
		rm -f ready end f
		env --default-signal=INT,QUIT prun --kill-after 60 --report r ./catcher 3>&- &
		wait_for 5 exists ready
		kill "-$s" $!
		wait_for 5 nonempty f
		kill "-$s" $!
		from=$(now_ms)
		status=0
		wait $! || status=$?
		took "$from" 0 20000
		[ "$status" = $((128 + $(kill -l $s))) ]
		[ "$(field r .signal)" = '"SIGKILL"' ]
		[ "$(field r .killed_by)" = '"cancel"' ]
	done
}

@test "TSTP stops prun and its command, CONT continues both" {
	prun sh -c 'echo $$ >pid; while [ ! -e end ]; do sleep 0.02; done; exit 8' 3>&- &
	wait_for 5 nonempty pid
	kill -TSTP $!
	wait_for 5 state_is $! T
	wait_for 5 state_is "$(cat pid)" T
	touch end
	kill -CONT $!
	ends 8 $!
}

@test "HUP, INT and QUIT that were ignored stay so, everything else is reset" {
	run -0 env --ignore-signal prun grep -E '^Sig(Blk|Ign)' /proc/self/status
	[ "$output" = $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000007' ]
	run -0 env --default-signal --block-signal prun grep -E '^Sig(Blk|Ign)' /proc/self/status
	[ "$output" = $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000' ]
}

@test "under nohup prun and its command survive HUP" {
	env --ignore-signal=HUP prun sh -c 'touch ready; while [ ! -e end ]; do sleep 0.02; done; exit 9' 3>&- &
	wait_for 5 exists ready
	kill -HUP $!
	touch end
	ends 9 $!
}

@test "an ignored SIGCHLD does not hide the exit status" {
	run -5 env --ignore-signal=CHLD prun sh -c 'exit 5'
	run -5 env --block-signal=CHLD prun sh -c 'exit 5'
}

@test "an interrupt typed at a terminal reaches the command once" {
	make_catcher
	mkfifo keys
	script -qec "$PCORE_BUILD/prun ./catcher" /dev/null <keys >screen 2>&1 3>&- &
	exec 7>keys
	wait_for 5 exists ready
	printf '\003' >&7
	wait_for 5 nonempty f
	touch end
	ends 42 $!
	exec 7>&-
	[ "$(cat f)" = INT ]
}

@test "a command in a terminal may read from it" {
	run -0 sh -c "script -qec '$PCORE_BUILD/prun sh -c \"test -t 0 && test -t 1 && echo tty\"' /dev/null </dev/null"
	[[ "$output" == *tty* ]]
}

@test "prun dies quietly when its reader is gone" {
	run -0 bash -c 'prun yes 2>err | head -n 1; echo ${PIPESTATUS[0]}; cat err'
	[ "$output" = $'y\n141' ]
}

@test "prun composes in a pipeline" {
	run -0 bash -c 'seq 5 | prun -- cat | prun --stdin null -- true; echo ${PIPESTATUS[2]}'
	[ "$output" = 0 ]
	run -0 sh -c 'seq 5 | prun prun cat | prun wc -l'
	[ "$output" = 5 ]
}

@test "prun inside prun works, and the outer one ends all" {
	run -124 prun --timeout 1 --kill-after 0.3 prun sh -c 'setsid sleep 77 & sleep 77'
	leaves_nothing
}

@test "100 attempts leave descriptors and memory constant" {
	run -1 prun --retry 100 --retry-delay 0 --report r perl -e \
		'open $f, ">>", "n"; @f = glob "/proc/" . getppid() . "/fd/*"; print $f scalar(@f), "\n"; exit 1'
	[ "$(wc -l <n)" = 101 ]
	[ "$(sed -n 2p n)" = "$(tail -n 1 n)" ]
	[ "$(field r '.attempts | length')" -ge 1 ]
}
