#!/usr/bin/env bash
# A signal ends a run whose output nobody takes, and a viewer whose terminal takes nothing, beside a run too.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1
cat >noisy.S <<'S'
	.long	0x1badb002, 0, -0x1badb002
	.globl	_start
_start:	mov	$0x3f8, %dx
	mov	$'.', %al
1:	out	%al, %dx
	jmp	1b
S
gcc -m32 -c -o noisy.o noisy.S && ld -m elf_i386 -N -Ttext 0x100000 --no-warn-rwx-segments -o noisy.elf noisy.o || exit 1
cat >stalled.py <<'P'
# stalled.py STATUS COMMAND...: in a terminal that is read only until the screen is full; then one SIGTERM
import fcntl, os, pty, select, signal, struct, sys, termios, time

patience = int(os.environ.get("NESTOR_PATIENCE", "1"))
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm-256color"
    os.execv(sys.argv[2], sys.argv[2:])
seen, limit = b"", time.monotonic() + 40 * patience
while b"live" not in seen and len(seen) < 100000:
    if not select.select([fd], [], [], max(0, limit - time.monotonic()))[0]:
        sys.exit("nothing shown: %r" % seen)
    seen += os.read(fd, 65536)
unread = 0
while unread < 20:  # changes of size draw everything again, until the output stands still
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200 - unread % 2, 0, 0))
    time.sleep(0.1)
    unread += 1
os.kill(pid, signal.SIGTERM)
limit = time.monotonic() + 30 * patience
while time.monotonic() < limit:
    got, status = os.waitpid(pid, os.WNOHANG)
    if got:
        status = os.waitstatus_to_exitcode(status)
        sys.exit(0 if str(status) in sys.argv[1].split("|") else "status %d" % status)
    time.sleep(0.05)
os.kill(pid, signal.SIGKILL)
sys.exit("it takes no notice of SIGTERM")
P

# stalled STATUSES COMMAND…, and what failed
stalled() {
	local name=$1
	shift
	python3 stalled.py "$@" >"$name.log" 2>&1 || sed "s/^/$name: /" "$name.log" >"$name.bad"
}
stalled view '0|-15' "$NESTOR_BUILD/tests/viewer/film" -l -d 60000 &
command -v lttng-relayd >/dev/null &&
	stalled run 130 "$NESTOR" run --clock virtual --for 1000s --view -o out \
		"$NESTOR_BUILD/l1-child/child.elf" --name A --append guest=batch &

# a pipe that stays full
mkfifo pipe
sleep 1000 <pipe &
reader=$!
"$NESTOR" run --clock virtual noisy.elf >pipe 2>err &
run=$!
limit=$((SECONDS + 40 * ${NESTOR_PATIENCE:-1}))
until grep -qs poll "/proc/$run/wchan" || [ $SECONDS -ge $limit ]; do sleep 0.05; done
kill -TERM $run
for _ in $(seq $((100 * ${NESTOR_PATIENCE:-1}))); do kill -0 $run 2>/dev/null || break; sleep 0.1; done
kill -KILL $run 2>/dev/null && echo "a run with a full pipe takes no notice of SIGTERM" >pipe.bad
wait $run
status=$?
[ $status = 130 ] || echo "a full pipe: status $status: $(cat err)" >>pipe.bad
kill $reader
wait
cat ./*.bad 2>/dev/null && exit 1
exit 0
