# Shared by the tests of the trace path: sourced, not run.
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/nestor-trace-test.XXXXXX") || exit 2
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT

fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "$*"; exit 77; }

for tool in lttng-sessiond babeltrace2; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done

emit=$NESTOR_BUILD/tests/trace/emit

# A plugin that was built with a sanitizer needs its run-time library before all others; leaks are
# looked for in our own programs, not in babeltrace2.
case ${NESTOR_MODE:-rel} in
asan) runtime=$(gcc -print-file-name=libasan.so) ;;
ubsan) runtime=$(gcc -print-file-name=libubsan.so) ;;
tsan) runtime=$(gcc -print-file-name=libtsan.so) ;;
*) runtime= ;;
esac
babeltrace2() { LD_PRELOAD=$runtime ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 command babeltrace2 "$@"; }

# The number after word $2 in file $1.
number() { sed -n "s/.*\b$2 \([0-9.]*\).*/\1/p" "$1" | tail -n 1; }

# How many events babeltrace2 finds in $1, of all kinds or of kind $2.
events() { babeltrace2 "$1" 2>/dev/null | grep -c "nestor:${2:-}"; }

# as_user COMMAND…: with a session daemon of one's own, as an ordinary user even under root, so that a
# daemon can be killed without disturbing anybody. The programs are copied to where that user can read.
as_user() {
	local run=$work/user
	mkdir -p "$run"
	if [ "$(id -u)" = 0 ]; then
		command -v setpriv >/dev/null || skip "setpriv is not installed"
		chown 65534:65534 "$run"
		chmod 700 "$run"
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			env HOME="$run" XDG_RUNTIME_DIR="$run" "$@"
	else
		chmod 700 "$run"
		HOME=$run XDG_RUNTIME_DIR=$run "$@"
	fi
}

# A copy of the emitter and its provider that as_user can run: sets $emit.
copy_emitter() {
	mkdir -p "$work/bin"
	cp "$emit" "$NESTOR_BUILD/libnestor-provider.so" "$work/bin/" || fail "cannot copy the emitter"
	chmod -R a+rX "$work/bin"
	emit=$work/bin/emit
}
