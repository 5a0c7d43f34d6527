#!/usr/bin/env bash
# Debian's virtio drivers on the devices: a file written to a disk is there after a second boot, a TCP
# connection leads out to a server on the host's loopback and another in through a forwarded port, the
# console and the random bytes work, and nothing warns.
. "$(dirname "$0")/linux/lib.sh"

initrd write <<'S'
virtio
mke2fs -I 256 /dev/vda >/dev/null && mount /dev/vda /mnt || echo no disk
dd if=/dev/hwrng of=/mnt/file bs=4096 count=500 2>/dev/null
echo "sum: $(md5sum </mnt/file)"
umount /mnt
echo "serial: $(cat /sys/block/vda/serial)"
echo "read-only: $(cat /sys/block/vdb/ro) $(head -c 9 /dev/vdb)"
echo 'said on hvc0' >/dev/hvc0
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
initrd read <<'S'
virtio
mount /dev/vda /mnt
echo "sum: $(md5sum </mnt/file)"
umount /mnt
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
wget -q -O /mnt/got http://10.0.2.2:$(sed 's/.*port=\([0-9]*\).*/\1/' /proc/cmdline)/file && echo "got: $(md5sum </mnt/got)"
echo served-by-the-guest >/page
nc -l -p 99 -e cat /page &
until netstat -ltn | grep -q :99; do sleep 0.1; done
echo 'the guest listens'
wait
dmesg -r | grep '^<[0-4]>'
poweroff -f
S

# a server on the host's loopback, at a port that it chooses
mkdir "$work/www"
head -c 3000000 /dev/urandom >"$work/www/file"
python3 -u - "$work/www" >"$work/port" 2>"$work/server.log" <<'P' &
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print("port", server.server_port)
server.serve_forever()
P
until_output "$work/port" 'port [0-9]' || fail "the server does not start: $(cat "$work/server.log")"

truncate -s 16M "$work/disk"
printf 'plain-data' >"$work/second"
truncate -s 4096 "$work/second"
boot write --clock virtual --disk "$work/disk,serial=nestor-0" --disk "$work/second,ro" --rng \
	--console "$work/hvc0" </dev/null
expect 'disk' 'serial: nestor-0' 'read-only: 1 plain-dat'
expect_no_warnings disk
grep -q 'said on hvc0' "$work/hvc0" || fail 'nothing came out of the virtio console'
cp "$work/out" "$work/first"
truncate -s 0 "$work/disk" && truncate -s 16M "$work/disk"
boot write --clock virtual --disk "$work/disk,serial=nestor-0" --disk "$work/second,ro" --rng \
	--console "$work/hvc0" </dev/null
cmp -s "$work/first" "$work/out" || fail 'two runs under the virtual clock with disks differ'

port=$(sed -n 's/port //p' "$work/port")
sum=$(sed -n 's/^sum: //p' "$work/out.txt")
forward=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
: >"$work/out"
{
	until_output "$work/out" 'the guest listens' &&
		python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
print(s.makefile().read())' "$forward" >"$work/served"
} &
boot read --cpus 2 --append "console=ttyS0 port=$port" --disk "$work/disk" \
	--net "user,hostfwd=tcp::$forward-:99" </dev/null
wait %2
expect 'second boot' "^sum: $sum" "^got: $(md5sum <"$work/www/file")"
# the file system was made at the virtual clock's date, long ago
expect_no_warnings 'second boot' 'checktime reached, running e2fsck'
grep -q served-by-the-guest "$work/served" || fail "nothing came from the guest's port"

# what is wrong with a disk or a port is one line
refused() { # PATTERN OPTIONS…
	local pattern=$1
	shift
	"$nestor" run --kernel "$vmlinuz" "$@" >"$work/out.txt" 2>"$work/err" </dev/null && fail "$*: runs"
	[ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "$pattern" "$work/err" || fail "$*: not as expected"
}
refused 'No such file' --disk /nowhere
refused 'is no file or block device' --disk /dev/null
printf short >"$work/short"
refused 'shorter than a sector' --disk "$work/short"
refused 'none of: ro' --disk "$work/disk,rw"
refused 'hostfwd=tcp::HOSTPORT-:GUESTPORT' --net user,hostfwd=tcp:1
refused 'none of: none, user' --net tap
refused 'does not wait for virtual time' --clock virtual --net user
refused 'cannot listen on TCP port' --net "user,hostfwd=tcp::$port-:1"
