#!/usr/bin/env bash
# Debian's Xen as the child hypervisor: SeaBIOS and GRUB start it with Debian's kernel as its first
# domain, whose tools start a second one in VMX (PVH) that reaches its own user space; then power off.
# Part of `make test-long`. Fetches Xen and its tools into the cache once.
NESTOR_KERNEL=linux-image-amd64
. "$(dirname "$0")/../e2e/linux/lib.sh"

exec 9>"$cache/lock"
flock 9
xen=$(unpacked xen-hypervisor-4.17-amd64) || give_up xen-hypervisor-4.17-amd64
tools=()
for p in xen-utils-4.17 xenstore-utils libxenmisc4.17 libxenstore4 libxencall1 libxenevtchn1 libxenforeignmemory1 \
	libxengnttab1 libxenhypfs1 libxentoolcore1 libxentoollog1 libxendevicemodel1 libyajl2 libnl-3-200 libnl-route-3-200; do
	t=$(unpacked $p) || give_up $p
	tools+=("$t")
done
exec 9>&-

# the first domain's RAM disk: the tools with the libraries that they need, the second domain's images
root=$work/root.dom0
mkdir -p "$root"/{m,etc/xen,var/run/xen,var/run/xenstored,var/lib/xen,var/lib/xenstored,var/log/xen/console,var/lock,tmp} \
	"$root"/{lib64,lib,usr/lib/xen-4.17/bin,bin}
ln -s ../var/run "$root/run"
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(find "${tools[@]}" -type d -path '*x86_64-linux-gnu' | paste -sd :)
bin=$(find "${tools[@]}" -type d -path '*/usr/lib/xen-4.17/bin')
for b in xl xenstored xenconsoled xen-init-dom0; do
	cp "$bin/$b" "$root/usr/lib/xen-4.17/bin/"
	ldd "$bin/$b" | awk '$3 ~ /^\// { print $3 }'
	ldd "$bin/$b" | grep -q 'not found' && fail "$b needs $(ldd "$bin/$b" | grep 'not found')"
done | sort -u | while read -r lib; do cp -L "$lib" "$root/lib/"; done
unset LD_LIBRARY_PATH
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 "$root/lib/"
for m in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs; do cp "$(module $m)" "$root/m/"; done
cp "$vmlinuz" "$root/guest-kernel"
echo 'autoballoon="0"' >"$root/etc/xen/xl.conf"
cat >"$root/guest.cfg" <<'X'
name = "inner"
type = "pvh"
kernel = "/guest-kernel"
ramdisk = "/guest-initrd"
extra = "console=hvc0"
memory = 192
X
initrd guest <<'S'
echo "the second domain: $(grep -c ^processor /proc/cpuinfo) processor"
poweroff -f
S
cp "$work/guest.gz" "$root/guest-initrd"
initrd dom0 <<'S'
export PATH=/bin:/usr/lib/xen-4.17/bin LD_LIBRARY_PATH=/lib
mkdir /dev/pts; mount -t devpts devpts /dev/pts
load xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs
mount -t xenfs xenfs /proc/xen
xenstored --pid-file /var/run/xenstored.pid
until xenstore-ls >/dev/null 2>&1 || [ -e /var/run/xenstored/socket ]; do sleep 0.1; done
xen-init-dom0
xenconsoled --log=all --log-dir=/var/log/xen/console --pid-file=/var/run/xenconsoled.pid
xl info | grep virt_caps
xl create /guest.cfg
while xl domid inner >/dev/null 2>&1; do sleep 0.5; done
cat /var/log/xen/console/guest-inner.log
poweroff -f
S

mkdir -p "$work/cd/boot/grub"
gunzip -c "$xen"/boot/xen-*.gz >"$work/cd/boot/xen" || fail 'xen'
cp "$vmlinuz" "$work/cd/boot/vmlinuz"
cp "$work/dom0.gz" "$work/cd/boot/initrd.gz"
cat >"$work/cd/boot/grub/grub.cfg" <<'G'
multiboot2 /boot/xen placeholder console=com1 com1=115200,8n1 dom0_mem=512M noreboot
module2 /boot/vmlinuz placeholder console=hvc0
module2 --nounzip /boot/initrd.gz
boot
G
grub-mkrescue -o "$work/cd.iso" "$work/cd" >"$work/out.txt" 2>&1 || fail 'grub-mkrescue'
timeout 900 "$nestor" run --engine jit --memory 1536M --disk "$work/cd.iso,ro" >"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/out" >"$work/out.txt"
expect xen 'VMX enabled' 'virt_caps.*hvm hap' 'the second domain: 1 processor' 'Entering ACPI S5'
echo 'ok linux/xen'
