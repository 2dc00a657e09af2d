#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# ptimer_table.bats - what users see of timer tables: ptimer check and ptimer import.

load support

setup() {
	common_setup
	export TZ=UTC
}
teardown() { common_teardown; }

# told STATUS LINE...: `ptimer check t` exits with STATUS, prints nothing, and says exactly this on stderr.
told() {
	local status=$1 expected
	shift
	run "-$status" --separate-stderr ptimer check t
	[ -z "$output" ]
	expected=$(printf '%s\n' "$@")
	[ "$stderr" = "$expected" ] || { printf 'said:\n%s\nnot:\n%s\n' "$stderr" "$expected"; return 1; }
}

# imported OPTIONS...: import the crontab c, print it, and see that the table passes the check.
imported() {
	ptimer import "$@" c >t || return 1
	run --separate-stderr ptimer check t
	[ "$status" = 0 ] && [ -z "$stderr" ] || { echo "check: $stderr"; return 1; }
	cat t
}

# ---- check ----

@test "check says nothing of a table that is right" {
	cat >t <<-'TABLE'
	# The database
	dump:   on 'Mon..Fri 22:00' --timeout 1h -- ./dump --all # a comment
	load:   every 10s --now -n 3 --overlap allow=2 -- sh -c 'uptime >>load'
	prune:  cron '0 4 * * sun' --priority -5 -- find /var/dumps \
	            -mtime +30 -delete
	once:   after 5m

	soon:   at 14:30 --jitter 1s
	include rest
	TABLE
	echo 'tick: every 1s' >rest
	told 0 ''
	run -0 ptimer check - <t
	[ -z "$output" ]
}

@test "check names line and column of every mistake" {
	cat >t <<-'TABLE'
	a: on 'Mon..Fri 25:00' -- true
	b: every 1s --frob
	c: cron '* * 32 * *'
	d: every 1s --priority high
	a b: after 1
	e: every \
	  x
	f: on 'daily
	ok: after 1
	ok: after 2
	include missing
	g: sleep 1
	h: on daily --tz Mars/Olympus
	TABLE
	told 1 \
		"t:1:17: the hour must be from 0 to 23" \
		"t:2:13: unknown option '--frob'" \
		"t:3:14: the day must be from 1 to 31, L, L-N, NW or LW" \
		"t:4:24: invalid value 'high' for '--priority': must be a whole number from -2147483648 to 2147483647" \
		"t:5:1: 'a' is no name with a colon: a line is \`NAME: VERB WHEN ...' or \`include FILE'" \
		"t:5:3: unknown verb 'b:': must be after, at, every, on or cron" \
		"t:7:3: invalid duration 'x': must be one such as 90, 1.5s, 200ms, 2m, 3h or 1d" \
		"t:8:7: the quote does not end on this line" \
		"t:10:1: 'ok' is there already, in 't' on line 9" \
		"t:11:9: cannot read 'missing': No such file or directory" \
		"t:12:4: unknown verb 'sleep': must be after, at, every, on or cron" \
		"t:13:18: unknown time zone 'Mars/Olympus'"
}

@test "check goes through all tables, and names standard input -" {
	echo 'a: after x' >t
	echo 'a: after 1' >u
	run -1 --separate-stderr ptimer check u t - u <<<'b: foo'
	[ "${stderr_lines[0]}" = "t:1:10: invalid duration 'x': must be one such as 90, 1.5s, 200ms, 2m, 3h or 1d" ]
	[ "${stderr_lines[1]}" = "-:1:4: unknown verb 'foo': must be after, at, every, on or cron" ]
	[ "${#stderr_lines[@]}" = 2 ]
}

@test "check exits 125 when a table cannot be read, and looks at the others" {
	echo 'a: after x' >t
	run -125 --separate-stderr ptimer check none t .
	[ "${stderr_lines[0]}" = "ptimer: cannot read 'none': No such file or directory" ]
	[[ ${stderr_lines[1]} == "t:1:10: "* ]]
	[ "${stderr_lines[2]}" = "ptimer: cannot read '.': Is a directory" ]
	run -125 ptimer check
	[ "${lines[0]}" = "ptimer: check needs a table" ]
	run -125 ptimer check --frob
	[ "${lines[0]}" = "ptimer: unknown option '--frob'" ]
	TZ=Mars/Olympus run -125 ptimer check t
	[ "${lines[0]}" = "ptimer: unknown time zone 'Mars/Olympus'" ]
}

@test "check warns of what never comes or has passed, and that is no mistake" {
	cat >t <<-'TABLE'
	a: on '*-02-30'
	b: cron '0 0 31 2 *'
	c: at '2020-02-02 02:02'
	d: at 2020-02-02 --max-late inf
	e: on 2020-02-02
	TABLE
	told 0 \
		"t:1:7: warning: it never comes: there is no such time before the year 2200" \
		"t:2:9: warning: it never comes: there is no such time before the year 2200" \
		"t:3:7: warning: it has passed" \
		"t:5:7: warning: it never comes: there is no such time before the year 2200"
}

@test "a table includes files from where it is, each of them once" {
	mkdir -p d/e
	echo 'include d/u' >t
	printf 'include e/v\ninclude ../t\n' >d/u
	printf 'x: every 1s --wrong\ninclude ./v\n' >d/e/v
	told 1 \
		"d/e/v:1:13: unknown option '--wrong'" \
		"d/e/v:2:9: 'd/e/./v' is read already" \
		"d/u:2:9: 'd/../t' is read already"
	(cd d/e && run -1 --separate-stderr ptimer check ../../t && [[ ${stderr_lines[0]} == "../../d/e/v:1:13: "* ]])
}

@test "a table has the options of timers, not those of the environment or of a process" {
	echo 'a: every 1s' >t
	PCORE_OPTIONS_PTIMER='--wrong' told 0 ''
	printf 'a: every 1s --help\nb: every 1s --version\n' >t
	told 1 "t:1:13: unknown option '--help'" "t:2:13: unknown option '--version'"
}

@test "a table's file name cannot drive the terminal" {
	echo 'a: after x' >$'t\e[31m'
	run -1 --separate-stderr ptimer check $'t\e[31m'
	[[ $stderr == 't\x1b[31m:1:10: '* ]]
}

# ---- import ----

@test "import keeps comments and lines, and names timers after commands and lines" {
	cat >c <<-'CRONTAB'
	# m h dom mon dow command

	  # indented
	17 *	* * *	cd / && run-parts --report /etc/cron.hourly
	*/5 0 1,15 jan-mar mon  /usr/bin/backup.sh -q
	@daily ./x
	@reboot [ -e /x ] || touch /x
	0 0 1 1 * (date; date)
	CRONTAB
	run -0 imported
	[ "${#lines[@]}" = 7 ]
	diff - t <<-'TABLE'
	# m h dom mon dow command

	  # indented
	cd-4: cron '17 * * * *' -- sh -c 'cd / && run-parts --report /etc/cron.hourly'
	backup.sh-5: cron '*/5 0 1,15 jan-mar mon' -- sh -c '/usr/bin/backup.sh -q'
	x-6: cron @daily -- sh -c ./x
	line-7: after 0 -- sh -c '[ -e /x ] || touch /x'
	line-8: cron '0 0 1 1 *' -- sh -c '(date; date)'
	TABLE
}

@test "import carries variables over to the timers that follow, and says what it does not" {
	cat >c <<-'CRONTAB'
	0 1 * * * first
	SHELL=/bin/bash
	PATH = "/usr/local/bin:/bin"
	MAILTO="someone"
	HOME=/tmp
	CRON_TZ=UTC
	A='it is'
	A=b c  
	0 2 * * * second
	@reboot third
	CRON_TZ=
	0 4 * * * fourth
	CRONTAB
	run -0 imported
	diff - t <<-'TABLE'
	first-1: cron '0 1 * * *' -- sh -c first
	# SHELL=/bin/bash
	# PATH=/usr/local/bin:/bin
	# MAILTO=someone is not carried over: the output of jobs goes where that of ptimer goes
	# HOME=/tmp
	# CRON_TZ=UTC
	# A=it is
	# A=b c
	second-9: cron '0 2 * * *' --tz UTC --chdir /tmp --env PATH=/usr/local/bin:/bin --env HOME=/tmp --env 'A=b c' -- /bin/bash -c second
	third-10: after 0 --chdir /tmp --env PATH=/usr/local/bin:/bin --env HOME=/tmp --env 'A=b c' -- /bin/bash -c third
	# CRON_TZ=
	fourth-12: cron '0 4 * * *' --chdir /tmp --env PATH=/usr/local/bin:/bin --env HOME=/tmp --env 'A=b c' -- /bin/bash -c fourth
	TABLE
}

# The command of the table's only line, run by bash, which quotes the same way here.
run_command() {
	eval "${output#* -- }"
}

@test "import gives a command what stands behind its percent signs as input" {
	# shellcheck disable=SC2016
	local entry='cat; echo "<$0>" 100\% "\\"%one%%  two\%%'
	printf '0 0 * * * %s\n' "$entry" >c
	run -0 imported
	diff - <(run_command) <<-'OUT'
	one

	  two%
	<sh> 100% \
	OUT
	printf '0 0 * * * %s\n' "cat; echo 'a \"b\"\\d'%it's 5\" \\" >c
	run -0 imported
	diff - <(run_command) <<-'OUT'
	it's 5" \
	a "b"\d
	OUT
	echo '0 0 * * * cat %' >c
	run -0 imported
	[ "$output" = "cat-1: cron '0 0 * * *' -- sh -c 'cat '" ]
	echo '0 0 * * * cat%%' >c
	run -0 imported
	[ "$(run_command | od -An -tx1)" = " 0a" ]
}

@test "import runs a command that reads input by the crontab's shell" {
	# shellcheck disable=SC2016
	printf 'SHELL=/bin/bash\n0 0 * * * read -r x; echo "${x^^}"; exit 3%%abc\n' >c
	ptimer import c >t
	output=$(tail -n 1 t)
	run -3 run_command
	[ "$output" = ABC ]
}

@test "import --system reads the user behind the time" {
	printf '17 * * * * root\tcd / && ls\n@daily 0 true\n' >c
	run -0 imported --system
	[ "${lines[0]}" = "cd-1: cron '17 * * * *' --user root -- sh -c 'cd / && ls'" ]
	[ "${lines[1]}" = "true-2: cron @daily --user 0 -- sh -c true" ]
	printf '17 * * * * nosuchuser ls\n17 * * * * root\n' >c
	run -1 --separate-stderr ptimer import --system c
	[ "${stderr_lines[0]}" = "c:2:16: there is no command" ]
	[ "${stderr_lines[1]}" = "c:1:1: invalid value 'nosuchuser' for '--user': no such user" ]
}

@test "import names the line of every mistake and then prints nothing" {
	printf '* 25 * * * x\n0 0 * *\n\t@often y\n* * * * *\nSHELL=a b\n0 0 * * * a\1b\nCRON_TZ=Mars\n0 0 * * * z\n0 0 * * * fine\0\n' >c
	run -1 --separate-stderr ptimer import c
	[ -z "$output" ]
	diff - <(echo "$stderr") <<-'SAID'
	c:1:3: the hour must be from 0 to 23
	c:2:1: must have five fields, six with seconds, or seven with seconds and year
	c:3:2: must be @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually
	c:4:10: there is no command
	c:5:1: the shell must be a path of letters, digits and / . _ -
	c:9:15: there is a NUL byte
	c:6:1: a word has no control characters
	c:8:1: unknown time zone 'Mars'
	SAID
}

@test "import reads standard input, also nothing, and exits 125 when it cannot read or print" {
	run -0 ptimer import - <<<'0 0 * * * x'
	[ "$output" = "x-1: cron '0 0 * * *' -- sh -c x" ]
	run -0 ptimer import - </dev/null
	[ -z "$output" ]
	run -0 ptimer import - < <(printf '0 0 * * * x')
	[ "$output" = "x-1: cron '0 0 * * *' -- sh -c x" ]
	run -125 ptimer import none
	[ "$output" = "ptimer: cannot read 'none': No such file or directory" ]
	run -125 ptimer import
	[ "${lines[0]}" = "ptimer: import needs a crontab" ]
	run -125 ptimer import a b
	[ "${lines[0]}" = "ptimer: unexpected 'b'" ]
	run -125 ptimer import --frob
	[ "${lines[0]}" = "ptimer: unknown option '--frob'" ]
	[ -c /dev/full ] || skip "needs /dev/full"
	run -125 sh -c "echo '0 0 * * * x' | ptimer import - >/dev/full"
	[ "$output" = "ptimer: cannot write to standard output: No space left on device" ]
}
