# SPDX-License-Identifier: MIT
# prun_background.bats - prun --detach and what is asked of what runs there.
# shellcheck shell=bash disable=SC2016,SC2154

load support

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$BATS_TEST_TMPDIR/rt
	PATH="$PCORE_BUILD/helpers:$PATH"
}

teardown() { common_teardown; }

# of the job NAME
supervisor() { sed -n 's/^supervisor //p' "$PCORE_RUNTIME_DIR/jobs/$1/meta"; }
status_json() { prun --status --json "$1" | jq -c "$2"; }
has_state() { [ "$(status_json "$1" .state)" = "\"$2\"" ]; }
private_kib() { awk '/^Rss(Anon|Shmem):/ { n += $2 } END { print n }' "/proc/$1/status"; }

until_end='while [ ! -e end ]; do sleep 0.02; done'

# ---- starting

@test "--detach prints the name and returns at once" {
	run -0 --separate-stderr prun --detach=build sh -c "$until_end"
	[ "$output" = build ]
	[ -z "$stderr" ]
	[ "$(status_json build .state)" = '"running"' ]
	touch end
	run -0 prun --join build
}

@test "--detach makes up a name that is free" {
	run -0 prun --detach true
	first=$output
	run -0 prun --detach true
	[ "$output" != "$first" ]
	run -0 prun --join "$first" "$output"
}

@test "what is detached has no standard input, no terminal, and lets go of all the caller has" {
	run -0 prun --detach=a sh -c 'cat; ps -o tty= -p $$; readlink /proc/$$/fd/0'
	run -0 prun --join a
	[ "$output" = $'?\n/dev/null' ]
	run -0 timeout 5 bash -c 'exec 8>lockfile; flock 8; prun --detach=b sleep 77 | cat'
	[ "$output" = b ]
	run -0 flock -n lockfile true
	run -0 prun --kill b
	run -143 prun --join b
}

@test "what is detached keeps directory, environment, umask and descriptors that were passed on" {
	mkdir d
	echo data >d/f
	run -0 sh -c 'cd d; umask 027; A=1 prun --detach=a --pass-fd 7 sh -c "pwd; umask; echo \$A; cat <&7" 7<f'
	run -0 prun --join a
	[ "$output" = "$PWD/d"$'\n0027\n1\ndata' ]
}

@test "what is detached survives its terminal" {
	run -0 ptydrive expect=a -- prun --detach=a sh -c "$until_end; exit 6"
	has_state a running
	touch end
	run -6 prun --join a
}

@test "--detach tells of a command that cannot run, and keeps nothing" {
	run -127 --separate-stderr prun --detach=a no-such-command
	[ -z "$output" ]
	[ "$stderr" = "prun: cannot run 'no-such-command': No such file or directory" ]
	run -1 prun --status a
	run -125 prun --detach=a --chdir nowhere true
	run -0 prun --detach=a true
	run -0 prun --join a
}

@test "two of one name are refused with 75" {
	run -0 prun --detach=a sh -c "$until_end"
	run -75 --separate-stderr prun --detach=a touch ran
	[ -z "$output" ]
	[[ "$stderr" == "prun: there is a 'a' already"* ]]
	touch end
	run -0 prun --join a
	run -75 prun --detach=a touch ran
	[ ! -e ran ]
	run -0 prun --forget a
	run -0 prun --detach=a true
	run -0 prun --join a
}

@test "of many that take one name at once, one gets it" {
	for _ in 1 2 3 4 5 6; do
		prun --detach=a sh -c "echo x >>started; $until_end" >>names 2>/dev/null 3>&- &
	done
	for _ in $(seq 20); do prun --list >/dev/null; done
	wait || true
	[ "$(cat names)" = a ]
	wait_for 5 lines_are started 1
	touch end
	run -0 prun --join a
	[ "$(wc -l <started)" = 1 ]
}

@test "bad names are refused everywhere" {
	long=$(printf '%065d' 0)
	for name in . .. .x a/b ../x 'a b' '' -x $'a\nb' "$long" ä; do
		run -125 prun --detach="$name" touch ran
		[[ "${lines[0]}" == *--detach* ]]
		for verb in join status logs kill forget; do
			run -125 prun --$verb -- "$name"
			[[ "${lines[0]}" == *"name"* ]]
		done
	done
	[ ! -e ran ]
	run -0 prun --detach="${long:1}" true
	run -0 prun --join "${long:1}"
}

@test "options of the background exclude what makes no sense there" {
	while read -r first second words; do
		# shellcheck disable=SC2086
		run -125 --separate-stderr prun $words
		[[ "${stderr_lines[0]}" == *"$first"*"$second"* ]] || { echo "$words: $stderr"; return 1; }
		[ -z "$output" ]
	done <<-'END'
	--detach --capture --detach --capture touch ran
	--detach --capture --detach --quiet-success touch ran
	--pty --detach --detach --pty touch ran
	--list --join --list --join a
	--logs --kill --logs --kill a
	--detach --list --detach --list
	--any --join --any touch ran
	--any --join --status --any a
	--follow --logs --follow touch ran
	--follow --logs --join -f a
	--json --list --json touch ran
	--json --status --join --json a
	--list name --list a
	name given --join
	name given --kill
	--logs one --logs a b
	END
	[ ! -e ran ]
}

# ---- asking

@test "--join prints both streams and exits with the status" {
	run -0 prun --detach=a sh -c 'echo out; echo err >&2; sleep 0.2; exit 5'
	run -5 --separate-stderr prun --join a
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -5 --separate-stderr prun --join a
	[ "$output" = out ]
}

@test "--join of a command that died of a signal or of its time limit" {
	run -0 prun --detach=a sh -c 'kill -SEGV $$'
	run -139 prun --join a
	run -0 prun --detach=b --timeout 0.1 sleep 77
	run -124 prun --join b
}

@test "--join --timeout gives up with 124 and the command goes on" {
	run -0 prun --detach=a sh -c "$until_end; exit 3"
	from=$(now_ms)
	run -124 --separate-stderr prun --join --timeout 0.3 a
	took "$from" 300 20000
	[ -z "$output" ]
	[ "$stderr" = "prun: 'a' still runs" ]
	has_state a running
	touch end
	run -3 prun --join --timeout 10 a
}

@test "--join of several prints them in the order named, the first failure decides" {
	run -0 prun --detach=a sh -c 'sleep 0.3; echo a'
	run -0 prun --detach=b sh -c 'echo b; exit 4'
	run -0 prun --detach=c sh -c 'echo c; exit 5'
	run -4 prun --join a b c
	[ "$output" = $'a\nb\nc' ]
}

@test "--join --any takes the first that ends" {
	run -0 prun --detach=a sh -c "$until_end"
	run -0 prun --detach=b sh -c 'sleep 0.2; echo b; exit 4'
	run -4 prun --join --any a b
	[ "$output" = b ]
	touch end
	run -0 prun --join --any a
	run -0 prun --detach=c sh -c 'while [ ! -e end2 ]; do sleep 0.02; done'
	run -124 prun --join --any --timeout 0.1 c
	touch end2
	run -0 prun --join c
}

@test "an unknown name is a 1 and is named" {
	for verb in join status logs kill forget; do
		run -1 --separate-stderr prun --$verb nobody
		[ "$stderr" = "prun: there is no 'nobody'" ]
		[ "$verb" = status ] || [ -z "$output" ]
	done
	run -0 prun --detach=a true
	run -1 prun --join a nobody
	run -0 prun --join a
}

@test "--list shows all, --json one object a line" {
	run -0 prun --list
	[ "${#lines[@]}" = 1 ]
	run -0 prun --list --json
	[ -z "$output" ]
	run -0 prun --detach=a sh -c "$until_end" 'two words' $'new\nline'
	run -0 prun --detach=b sh -c 'exit 3'
	wait_for 5 has_state b "done"
	run -0 prun --list
	[ "${#lines[@]}" = 3 ]
	[[ "${lines[1]}" =~ ^a\ +running\ +[0-9]+\ +-\ +20.*two\ words\ new ]]
	[[ "${lines[2]}" =~ ^b\ +done\ +[0-9]+\ +3\ +20 ]]
	run -0 prun --list --json
	[ "$(jq -c '[.name, .state, .status]' <<<"$output")" = $'["a","running",null]\n["b","done",3]' ]
	[ "$(head -n 1 <<<"$output" | jq -c '.argv[3:]')" = '["two words","new\nline"]' ]
	[ "$(tail -n 1 <<<"$output" | jq -c '[.report.exit, .report.stdout_bytes]')" = '[3,0]' ]
	touch end
	run -0 prun --join a
}

@test "--logs prints what there is so far, -f goes on until the end" {
	run -0 prun --detach=a sh -c "echo one; echo err >&2; $until_end; echo two"
	wait_for 5 nonempty rt/jobs/a/stderr
	run -0 --separate-stderr prun --logs a
	[ "$output" = one ]
	[ "$stderr" = err ]
	prun --logs -f a >followed 2>&1 3>&- &
	wait_for 5 lines_are followed 2
	touch end
	ends 0 $!
	[ "$(sort followed)" = $'err\none\ntwo' ]
	run -0 --separate-stderr prun --logs --follow a
	[ "$output" = $'one\ntwo' ]
}

@test "the logs are bounded: the newest half is kept, and -f loses nothing of it" {
	run -0 prun --detach=a sh -c "while [ ! -e go ]; do sleep 0.02; done; seq 2600000"
	prun --logs -f a >followed 3>&- &
	touch go
	ends 0 $!
	size=$(cat rt/jobs/a/stdout rt/jobs/a/stdout.old | wc -c)
	((size <= 16 << 20 && size >= 8 << 20))
	prun --join a >joined
	[ "$(tail -n 1 joined)" = 2600000 ]
	[ "$(tail -n 1 followed)" = 2600000 ]
	[ "$(wc -c <joined)" = "$size" ]
}

@test "--kill ends the whole tree" {
	for as in root user; do
		[ "$as" = root ] || { user_setup; export PCORE_RUNTIME_DIR=$scratch/rt; }
		make_family
		run -0 "${as_user[@]}" prun --detach=a --kill-after 0.3 "$PWD/family" f
		wait_for 5 lines_are f 3
		run -0 "${as_user[@]}" prun --kill a
		run -143 "${as_user[@]}" prun --join a
		wait_for 3 nothing_left # the supervisor may be at its last exit
		run -1 "${as_user[@]}" prun --kill a
		[[ "$output" == "prun: 'a' does not run" ]]
		rm -f f
	done
}

@test "--kill --signal sends another signal to each process and nothing more" {
	run -0 prun --detach=a bash -c "trap 'echo usr1; touch got' USR1; touch ready; $until_end"
	wait_for 5 exists ready
	run -0 prun --kill --signal USR1 a
	wait_for 5 exists got
	touch end
	run -0 --separate-stderr prun --join a
	[ "$output" = usr1 ]
	run -0 prun --detach=b env --ignore-signal=TERM sleep 77
	run -0 prun --kill --signal KILL b
	run -137 prun --join b
	refuses prun --kill -- --signal NOPE
}

@test "--kill ends a command between two tries" {
	run -0 prun --detach=a --retry 5 --retry-delay 60 sh -c 'touch tried; exit 1'
	wait_for 5 exists tried
	wait_for 5 sh -c '! kill -0 "$(cat rt/jobs/a/pid)" 2>/dev/null'
	run -0 prun --kill a
	run -143 prun --join --timeout 5 a
}

@test "--forget removes what is done and refuses what runs" {
	run -0 prun --detach=a sh -c "$until_end"
	run -75 prun --forget a
	[[ "$output" == *"'a' still runs"* ]]
	touch end
	run -0 prun --join a
	touch rt/jobs/a/.meta.new
	run -0 prun --forget a
	[ ! -e rt/jobs/a ]
	run -1 prun --forget a
}

# ---- ready

@test "--notify-ready line: returns when the line has come" {
	run -0 prun --detach=a --notify-ready 'line:ready to go' sh -c "echo not ready to go; echo ready to; sleep 0.4; touch said; echo ready to go; $until_end"
	[ "$output" = a ]
	[ -e said ]
	touch end
	run -0 prun --join a
	run -0 prun --detach=b --notify-ready line:up sh -c "echo up >&2; $until_end"
	run -0 prun --join b
}

@test "--notify-ready FD returns when a newline comes there" {
	run -0 prun --detach=a --notify-ready 5 sh -c "printf no >&5; sleep 0.3; touch said; echo >&5; exec 5>&-; $until_end"
	[ -e said ]
	touch end
	run -0 prun --join a
}

@test "--ready-timeout ends what is not ready and exits 124" {
	from=$(now_ms)
	run -124 --separate-stderr prun --detach=a --notify-ready line:up --ready-timeout 0.3 sleep 77
	took "$from" 300 20000
	[ -z "$output" ]
	[ "$stderr" = "prun: 'sleep' is not ready in time" ]
	run -124 prun --join a
	run -124 prun --notify-ready 3 --ready-timeout 0.2 sleep 77
}

@test "a command that ends before it is ready makes --detach fail" {
	run -1 --separate-stderr prun --detach=a --notify-ready line:up true
	[ -z "$output" ]
	[ "$stderr" = "prun: 'true' ended before it was ready" ]
	run -4 prun --detach=b --notify-ready 3 sh -c 'echo why; exit 4'
	run -4 prun --join b
	[ "$output" = why ]
}

# ---- the supervisor

@test "a supervisor costs at most 256 KiB of private memory" {
	[ "${PCORE_VARIANT:-release}" = release ] || skip "a sanitizer costs more"
	run -0 prun --detach=a sh -c "seq 200000; touch ready; $until_end"
	wait_for 10 exists ready
	kib=$(private_kib "$(supervisor a)")
	touch end
	run -0 prun --join a
	echo "$kib KiB"
	[ "$kib" -le 256 ]
}

@test "killing the supervisor by KILL leaves nothing, and the job is told as lost" {
	for as in root user; do
		[ "$as" = root ] || { user_setup; export PCORE_RUNTIME_DIR=$scratch/rt; }
		make_family
		run -0 "${as_user[@]}" prun --detach=a sh -c 'echo before; exec "$0" f' "$PWD/family"
		wait_for 5 lines_are f 3
		kill -KILL "$(supervisor a)"
		run -125 --separate-stderr "${as_user[@]}" prun --join a
		[ "$output" = before ]
		[ "$stderr" = "prun: 'a' is lost: its supervisor was killed" ]
		wait_for 3 nothing_left
		run -0 "${as_user[@]}" prun --status --json a
		[ "$(jq -c '[.state, .status, .argv[0]]' <<<"$output")" = '["lost",null,"sh"]' ]
		run -1 "${as_user[@]}" prun --kill a
		run -0 "${as_user[@]}" prun --forget a
		rm -f f
	done
}

@test "a --join that waits while the supervisor is killed comes back" {
	run -0 prun --detach=a sleep 77
	prun --join a 2>err 3>&- &
	wait_for 5 state_is $! S
	kill -KILL "$(supervisor a)"
	ends 125 $!
	[[ "$(cat err)" == *"'a' is lost"* ]]
}

@test "--retry, --report and --tee work in the background" {
	run -0 prun --detach=a --retry 3 --retry-delay 0 --report r --tee t sh -c 'echo x; echo >>tries; [ $(wc -l <tries) -ge 3 ]'
	run -0 prun --join a
	[ "$(jq '.attempts | length' r)" = 3 ]
	[ "$(wc -l <t)" = 3 ]
	[ "$(status_json a '.report.attempts | length')" = 3 ]
}

# ---- the runtime directory

@test "a runtime directory that others may enter is refused" {
	mkdir rt
	for mode in 755 770 701; do
		chmod $mode rt
		for words in '--list' '--detach touch ran' '--lock x touch ran'; do
			# shellcheck disable=SC2086
			run -125 prun $words
			[ "$output" = "prun: will not use the runtime directory '$PWD/rt': it must be ours and closed to others (mode 0700)" ]
		done
	done
	[ ! -e ran ]
	chmod 700 rt
	mkdir -m 755 rt/jobs
	run -125 prun --detach touch ran
	[ ! -e ran ]
}

@test "a runtime directory of somebody else is refused" {
	need_root
	mkdir -m 700 rt
	chown 65534 rt
	run -125 prun --detach touch ran
	[[ "$output" == *"'$PWD/rt'"*"must be ours"* ]]
	[ ! -e ran ]
}

@test "a runtime directory that is a symbolic link, a file, or cannot be made is refused" {
	mkdir -m 700 real
	ln -s real rt
	run -125 prun --detach touch ran
	[[ "$output" == "prun: cannot open the runtime directory '$PWD/rt': "* ]]
	rm rt
	touch rt
	run -125 prun --detach touch ran
	PCORE_RUNTIME_DIR=$PWD/no/dir run -125 prun --detach touch ran
	[ "$output" = "prun: cannot open the runtime directory '$PWD/no/dir': No such file or directory" ]
	[ ! -e ran ]
	[ -z "$(ls real)" ]
}

@test "a --detach that is killed while it waits leaves no supervisor" {
	prun --lock busy sh -c 'touch held; while [ ! -e end ]; do sleep 0.02; done' 3>&- &
	holder=$!
	wait_for 5 exists held
	prun --detach=late --lock busy touch ran 3>&- &
	wait_for 5 exists rt/jobs/late/meta
	supervisor=$(sed -n 's/^supervisor //p' rt/jobs/late/meta)
	kill -TERM $!
	ends 143 $!
	wait_for 5 gone "$supervisor"
	touch end
	ends 0 $holder
	[ ! -e ran ]
}

@test "a job's directory that is a symbolic link is not followed" {
	run -0 prun --detach=a true
	run -0 prun --join a
	mv rt/jobs/a elsewhere
	ln -s ../../elsewhere rt/jobs/a
	run -1 prun --status a
	[ -e elsewhere/meta ]
}

@test "an ordinary user's runtime directory follows XDG_RUNTIME_DIR, then TMPDIR" {
	need_root
	user_setup
	unset PCORE_RUNTIME_DIR
	mkdir -m 700 xdg
	mkdir -m 755 open tmp
	chown 65534 xdg open tmp
	XDG_RUNTIME_DIR=$PWD/xdg run -0 "${as_user[@]}" prun --list
	[ -d xdg/pcore/jobs ]
	[ -d /run/user/65534 ] && skip "this user has a runtime directory"
	XDG_RUNTIME_DIR=$PWD/open TMPDIR=$PWD/tmp run -0 "${as_user[@]}" prun --list
	[ ! -e open/pcore ]
	[ "$(stat -c '%a %u' tmp/pcore-65534)" = "700 65534" ]
}

@test "names outlive the length of a socket's path" {
	PCORE_RUNTIME_DIR=$PWD/$(printf '%0100d' 0)
	mkdir "$PCORE_RUNTIME_DIR"
	PCORE_RUNTIME_DIR+=/$(printf '%0100d' 0)
	mkdir -m 700 "$PCORE_RUNTIME_DIR"
	run -0 prun --detach=a echo hi
	run -0 prun --join a
	[ "$output" = hi ]
}
