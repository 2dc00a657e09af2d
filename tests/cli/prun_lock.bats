# SPDX-License-Identifier: MIT
# prun_lock.bats - prun's locks and semaphores.
# shellcheck shell=bash disable=SC2016,SC2154

load support

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$BATS_TEST_TMPDIR/rt
}

teardown() { common_teardown; }

# hold WORDS...: a prun that has what these options say, until release
hold() {
	rm -f held end
	prun "$@" sh -c 'touch held; while [ ! -e end ]; do sleep 0.02; done' 3>&- &
	holder=$!
	wait_for 5 exists held
}

release() {
	touch end
	ends 0 "$holder"
}

busy() { run -75 prun "$@" --wait 0 touch ran; }
free() { run -0 prun "$@" --wait 0 true; }

# Is PID waiting for a lock, or for a place?
waits() { grep -qE 'lock|poll|futex' "/proc/$1/wchan" 2>/dev/null || state_is "$1" S; }
drew() { [ "$(od -An -t u8 "$1" | tr -d ' ')" -ge "$2" ]; }

@test "--lock excludes others for a name and for a file" {
	for lock in name ./file "$PWD/file2"; do
		hold --lock "$lock"
		busy --lock "$lock"
		[[ "$output" == "prun: the lock '$lock' is busy" ]]
		[ ! -e ran ]
		free --lock other
		release
		free --lock "$lock"
	done
	[ -e file ]
	[ "$(stat -c %a rt/locks/name.lock)" = 600 ]
}

@test "--lock passes the status on" {
	run -7 prun --lock a sh -c 'exit 7'
	run -127 prun --lock a no-such-command
}

@test "--lock waits for ever without --wait" {
	for lock in name ./file; do
		hold --lock "$lock"
		prun --lock "$lock" touch second 3>&- &
		wait_for 5 waits $!
		[ ! -e second ]
		release
		ends 0 $!
		[ -e second ]
		rm second
	done
}

@test "--wait gives up in time" {
	for lock in '--lock name' '--lock ./file' '--semaphore s:1'; do
		# shellcheck disable=SC2086
		hold $lock
		from=$(now_ms)
		# shellcheck disable=SC2086
		run -75 prun $lock --wait 0.3 touch ran
		took "$from" 300 10000
		[ ! -e ran ]
		release
	done
}

@test "--wait succeeds when the lock is let go in time" {
	for lock in '--lock name' '--lock ./file' '--semaphore s:1'; do
		# shellcheck disable=SC2086
		hold $lock
		# shellcheck disable=SC2086
		prun $lock --wait 10 touch second 3>&- &
		wait_for 5 waits $!
		release
		from=$(now_ms)
		ends 0 $!
		took "$from" 0 8000
		rm second
	done
}

@test "--busy-status is the status of a lock that is busy" {
	hold --lock a
	run -3 prun --lock a --wait 0 --busy-status 3 touch ran
	run -0 prun --lock a --wait 0.1 --busy-status 0 touch ran
	[ ! -e ran ]
	release
	refuses prun --lock a -- --busy-status '' x -1 256
}

@test "--lock FILE and flock(1) exclude each other" {
	hold --lock ./f
	run -1 flock -n f true
	release
	flock f sh -c 'touch held2; while [ ! -e end2 ]; do sleep 0.02; done' 3>&- &
	wait_for 5 exists held2
	busy --lock ./f
	touch end2
	ends 0 $!
	free --lock ./f
}

@test "--shared holds together and apart from exclusive holders, as with flock -s" {
	hold --lock a --shared
	free --lock a --shared
	busy --lock a
	release
	hold --lock ./f --shared
	run -0 flock -n -s f true
	run -1 flock -n f true
	free --lock ./f --shared
	busy --lock ./f
	release
	hold --lock a
	busy --lock a --shared
	release
}

@test "--semaphore lets N run at a time" {
	hold --semaphore s:2
	first=$holder
	rm held
	prun --semaphore s:2 sh -c 'touch held; while [ ! -e end ]; do sleep 0.02; done' 3>&- &
	wait_for 5 exists held
	busy --semaphore s:2
	[ "$output" = "prun: the lock 's:2' is busy" ]
	free --semaphore s:3
	free --semaphore t:1
	touch end
	ends 0 "$first"
	ends 0 $!
	free --semaphore s:2
}

@test "never more than N of a semaphore run" {
	for _ in $(seq 8); do
		prun --semaphore s:2 sh -c 'echo + >>log; sleep 0.05; echo - >>log' 3>&- &
	done
	wait
	[ "$(wc -l <log)" = 16 ]
	most=$(awk '{ n += $1 == "+" ? 1 : -1 } n > m { m = n } END { print m }' log)
	[ "$most" = 2 ]
}

@test "a name is granted in the order of arrival, shared holders together" {
	hold --lock a
	i=1
	for kind in '' '' --shared --shared ''; do
		i=$((i + 1))
		# shellcheck disable=SC2086
		prun --lock a $kind sh -c 'echo "$0" >>order' "$i" 3>&- &
		wait_for 5 drew rt/locks/a.lock $i
	done
	release
	wait
	[[ "$(tr -d '\n' <order)" == 23[45][45]6 ]]
}

@test "a semaphore is granted in the order of arrival" {
	hold --semaphore s:1
	for i in 2 3 4 5; do
		prun --semaphore s:1 sh -c 'echo "$0" >>order' $i 3>&- &
		wait_for 5 drew rt/locks/s.sem $i
	done
	release
	wait
	[ "$(tr -d '\n' <order)" = 2345 ]
}

@test "one that gives up or is killed while it waits does not hold up those behind it" {
	hold --lock a
	prun --lock a touch two 3>&- &
	two=$!
	wait_for 5 drew rt/locks/a.lock 2
	prun --lock a --wait 0.2 touch three 3>&- &
	three=$!
	wait_for 5 drew rt/locks/a.lock 3
	prun --lock a touch four 3>&- &
	four=$!
	wait_for 5 drew rt/locks/a.lock 4
	kill -KILL $two
	ends 137 $two
	ends 75 $three
	[ ! -e four ]
	release
	ends 0 $four
	[ ! -e two ]
	[ ! -e three ]
}

@test "a lock is free when prun was killed by KILL, however it keeps trees" {
	for as in root user; do
		[ "$as" = root ] || { user_setup; export PCORE_RUNTIME_DIR=$scratch/rt; }
		for lock in '--lock a' '--lock ./f' '--semaphore s:1'; do
			rm -f held
			# shellcheck disable=SC2086
			"${as_user[@]}" prun $lock sh -c 'touch held; sleep 77' 3>&- &
			wait_for 5 exists held
			kill -KILL $!
			ends 137 $!
			# shellcheck disable=SC2086
			run -0 "${as_user[@]}" prun $lock --wait 5 true
		done
		wait_for 3 nothing_left
	done
}

@test "what the command leaves running does not hold the lock" {
	for as in root user; do
		[ "$as" = root ] || { user_setup; export PCORE_RUNTIME_DIR=$scratch/rt; }
		for lock in '--lock a' '--lock ./f' '--semaphore s:1'; do
			# shellcheck disable=SC2086
			run -0 "${as_user[@]}" prun $lock --leave sh -c 'sleep 77 >/dev/null 2>&1 & echo $! >pid'
			kill -0 "$(cat pid)"
			# shellcheck disable=SC2086
			run -0 "${as_user[@]}" prun $lock --wait 0 true
			kill -KILL "$(cat pid)"
			rm -f pid
		done
	done
}

@test "a lock is held over all attempts" {
	prun --lock a --retry 50 --retry-delay 0.02 sh -c 'touch tried; [ -e end ]' 3>&- &
	wait_for 5 exists tried
	for _ in 1 2 3 4 5; do busy --lock a; done
	touch end
	ends 0 $!
}

@test "--detach holds the lock in the background" {
	run -0 prun --detach=j --lock a sh -c 'while [ ! -e end ]; do sleep 0.02; done'
	busy --lock a
	run -75 prun --detach=k --lock a --wait 0 touch ran
	run -1 prun --status k
	touch end
	run -0 prun --join j
	free --lock a
}

@test "a lock file that is corrupt is an error" {
	mkdir -m 700 rt rt/locks
	printf 'garbage' >rt/locks/a.lock
	run -125 prun --lock a touch ran
	[[ "$output" == "prun: cannot take the lock 'a': "* ]]
	printf '\377\377\377\377\377\377\377\377' >rt/locks/b.sem
	run -125 prun --semaphore b:1 touch ran
	[[ "$output" == "prun: cannot take the lock 'b:1': "* ]]
	mkdir rt/locks/c.lock
	run -125 prun --lock c touch ran
	ln -s "$PWD/elsewhere" rt/locks/d.lock
	run -125 prun --lock d touch ran
	[ ! -e elsewhere ]
	[ ! -e ran ]
}

@test "a file that cannot be opened is an error, a directory and a FIFO will do" {
	run -125 prun --lock no/dir/f touch ran
	[ "$output" = "prun: cannot open the lock 'no/dir/f': No such file or directory" ]
	mkdir d
	free --lock ./d
	mkfifo p
	free --lock ./p
	[ ! -e ran ]
}

@test "the options on locks refuse bad values and what does not go together" {
	refuses prun -- --lock '' .x 'a b' "$(printf '%065d' 0)"
	refuses prun -- --semaphore '' a a: :1 a:0 a:x a:-1 a:1000001 ./a:1 '.a:1' 'a b:1'
	refuses prun --lock a -- --wait '' x -1 5x
	while read -r first second words; do
		# shellcheck disable=SC2086
		run -125 --separate-stderr prun $words touch ran
		[[ "${stderr_lines[0]}" == *"$first"*"$second"* ]] || { echo "$words: $stderr"; return 1; }
	done <<-'END'
	--lock --semaphore --lock a --semaphore b:1
	--shared --lock --shared
	--shared --lock --shared --semaphore a:1
	--wait --lock --wait 5
	END
	[ ! -e ran ]
}

@test "a name of 64 characters makes a lock and a semaphore" {
	name=$(printf '%064d' 0)
	free --lock "$name"
	free --semaphore "$name:2"
}

@test "a lock and a job in the background say that the disk is full" {
	unshare -rm mount -t tmpfs none . 2>/dev/null || skip "needs a mount namespace"
	run --separate-stderr unshare -rm sh -c 'mkdir -m 700 rt && mount -t tmpfs -o size=64k none rt && chmod 700 rt &&
		head -c 1M /dev/zero >rt/fill 2>/dev/null
		prun --lock a touch ran; prun --detach=b touch ran; [ ! -e rt/jobs/b ]'
	[ "$status" = 0 ]
	[ "$stderr" = "prun: cannot take the lock 'a': No space left on device
prun: cannot write the record of 'b': No space left on device" ]
	[ ! -e ran ]
}
