# Shared by the tests of the viewer: sourced, not run. The viewer runs in a real terminal, tmux's; a
# test sends keys and waits until the screen shows what it must, up to a time limit.
set -u
command -v tmux >/dev/null || { echo "tmux is not installed"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/nestor-viewer-test.XXXXXX") || exit 2

film=$NESTOR_BUILD/tests/viewer/film

terminal() { tmux -S "$work/tmux" -f /dev/null "$@"; }
finish() {
	terminal kill-server 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

screen() { terminal capture-pane -t t -p "$@"; }
skip() { echo "$*"; exit 77; }
fail() {
	echo "FAIL: $*" >&2
	screen >&2 2>/dev/null
	exit 1
}

# start COLUMNS ROWS COMMAND: in a new terminal; its status appears as "[status N]"
start() {
	# the server stays: one that is about to end would take the new session with it
	terminal has-session -t base 2>/dev/null || terminal new-session -d -s base 'exec sleep 1000'
	terminal kill-session -t t 2>/dev/null
	terminal new-session -d -s t -x "$1" -y "$2" "stty -g >$work/stty.before; $3
		echo \"[status \$?]\"; stty -g >$work/stty.after; echo '[over]'; exec sleep 1000" ||
		fail "tmux does not start"
}

# wait_for TEXT [SECONDS]: until the screen has a line that matches the extended expression
wait_for() {
	local limit=$((SECONDS + ${2:-20} * ${NESTOR_PATIENCE:-1}))
	until screen 2>/dev/null | grep -Eq -- "$1"; do
		[ $SECONDS -lt $limit ] || fail "no '$1' on the screen"
		sleep 0.05
	done
}

# wait_gone TEXT [SECONDS]
wait_gone() {
	local limit=$((SECONDS + ${2:-20} * ${NESTOR_PATIENCE:-1}))
	while screen 2>/dev/null | grep -Eq -- "$1"; do
		[ $SECONDS -lt $limit ] || fail "'$1' stays on the screen"
		sleep 0.05
	done
}

keys() { terminal send-keys -t t "$@"; }
resize() { terminal resize-window -t t -x "$1" -y "$2"; }

# The line of the screen that matches $1, blanks squeezed.
line() { screen | grep -E -- "$1" | head -n 1 | tr -s ' '; }

# expect_line PATTERN TEXT: that line, blanks squeezed, contains TEXT
expect_line() {
	case $(line "$1") in
	*"$2"*) ;;
	*) fail "the line with '$1' lacks '$2'" ;;
	esac
}

# The terminal is as it was: not in full-screen mode, same settings, status $1.
expect_left() {
	wait_for '\[over\]'
	screen | grep -Fq "[status $1]" || fail "the status is not $1"
	[ "$(terminal display-message -t t -p '#{alternate_on} #{cursor_flag}')" = '0 1' ] ||
		fail "the terminal was left in full-screen mode or without a cursor"
	diff "$work/stty.before" "$work/stty.after" || fail "the terminal's settings were not put back"
}
