#!/bin/bash
# Sizes, kinds of terminals, character sets, colours, and every way out.
. "${0%/*}/lib.sh"

# --- size ---
start 79 24 "$film"
wait_for '^too small: 79x24, needs 80x24$'
resize 120 40
wait_for 'read to its end'
wait_gone 'too small'
expect_line 'F1 Help' 'q Quit'
resize 80 24
wait_for 'q Quit'
[ "$(screen | wc -l)" = 24 ] || fail "the screen has not 24 lines"
screen | tail -n 1 | grep -q 'q Quit' || fail "the keys are not in the last line"
resize 60 10
wait_for '^too small: 60x10'
keys q
expect_left 0

# --- help ---
start 80 24 "$film"
wait_for 'read to its end'
keys F1
wait_for 'q, F10, Ctrl-C +leave'
screen | grep -q 'less time in a column' || fail "the help lacks the zoom"
keys Escape
wait_gone 'less time in a column'
keys '?'
wait_for 'less time in a column'
keys q
wait_gone 'less time in a column'
keys F10
expect_left 0

# --- character sets and colours ---
ascii_only() { ! screen | LC_ALL=C grep -q '[^ -~]'; }
start 100 30 "LC_ALL=C $film"
wait_for 'read to its end'
ascii_only || fail "characters beyond ASCII in the C locale"
keys + + + + + +
wait_for '^  level 2 +.*aaaa.*bbbbbb.*cccccc'
keys F1
wait_for 'this help'
ascii_only || fail "characters beyond ASCII in the help"
keys Escape
keys C-c
expect_left 0
start 100 30 "$film -a"
wait_for 'read to its end'
ascii_only || fail "characters beyond ASCII with --ascii"
keys q
start 100 30 "env -u LC_ALL -u LANG -u LC_CTYPE $film"
wait_for 'read to its end'
ascii_only && fail "ASCII although no locale asks for it"
keys q

start 100 30 "TERM=vt100 $film"
wait_for 'read to its end'
keys + + + + + +
wait_for '^  level 2 +.*aaaa.*bbbbbb.*cccccc'
screen -e | grep -q $'\033\\[[0-9;]*[34][0-7]m' && fail "colours on a vt100"
keys q
expect_left 0
start 100 30 "NO_COLOR=1 TERM=tmux-256color $film"
wait_for 'read to its end'
screen -e | grep -q $'\033\\[[0-9;]*[34]8;5' && fail "colours in spite of NO_COLOR"
keys q
for term in screen xterm xterm-16color xterm-256color tmux-256color; do
	start 100 30 "TERM=$term $film"
	wait_for 'read to its end'
	screen -e | grep -Eq $'\033\\[[0-9;]*([34][0-7]m|[34]8;5)' || fail "no colours on $term"
	keys q
	expect_left 0
done

# --- what is no terminal for it ---
start 100 30 "TERM=nonsense $film"
wait_for 'unknown terminal TERM=nonsense'
expect_left 1
start 100 30 "TERM= $film"
wait_for 'TERM is not set'
expect_left 1
start 100 30 "TERM=dumb $film"
wait_for 'terminal dumb cannot move its cursor'
expect_left 1
"$film" </dev/null >"$work/out" 2>&1 && fail "no terminal, but success"
[ "$(wc -l <"$work/out")" = 1 ] && grep -q 'needs a terminal' "$work/out" ||
	fail "no terminal: $(cat "$work/out")"

# --- ways out ---
for sig in INT TERM HUP; do
	start 100 30 "sh -c 'echo \$\$ >$work/pid; exec $film'"
	wait_for 'read to its end'
	kill -$sig "$(cat "$work/pid")"
	expect_left 0
done
for sig in SEGV ABRT; do
	start 100 30 "ulimit -c 0; sh -c 'echo \$\$ >$work/pid; exec $film'"
	wait_for 'read to its end'
	kill -$sig "$(cat "$work/pid")"
	expect_left $((128 + $(kill -l $sig)))
done

# --- a source that fails ---
start 100 30 "$film -e"
wait_for 'failed'
wait_for 'the film tore'
keys q
expect_left 0
exit 0
