/*
 * The first program of a Debian kernel that runs as L1 under nestor, and of the one that it runs as
 * L2: loads kvm-intel, prints what it found, runs small guests in real mode, and, in L1, boots the
 * kernel /kernel with /initrd as L2 under a VMM of a screen's length. So the small guests of L2 are
 * L3. Built static; kvm.sh packs it. Output of L2 goes to the serial port by hand and comes back
 * with "L2: " before each line.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm.h"

#define DEBUG_EXIT 0xf4
#define COM1 0x3f8

static int in_l2(void)
{
	return access("/kernel", R_OK) != 0;
}

static ssize_t write_by_port(void *cookie, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		outb(text[i], COM1);
	return n;
}

static void insmod(const char *file, const char *options)
{
	int fd = open(file, O_RDONLY);
	long r = fd < 0 ? -1 : syscall(SYS_finit_module, fd, options, 0);

	printf("insmod %s: %s\n", file, r ? strerror(errno) : "ok");
	close(fd);
}

static void show_parameters(void)
{
	static const char *const name[] = {"ept",
					   "eptad",
					   "vpid",
					   "unrestricted_guest",
					   "preemption_timer",
					   "enable_shadow_vmcs",
					   "enable_apicv",
					   "pml",
					   "nested"};

	for (unsigned int i = 0; i < sizeof(name) / sizeof(*name); i++) {
		char path[99], value[9] = "";
		int fd;

		snprintf(path, sizeof(path), "/sys/module/kvm_intel/parameters/%s", name[i]);
		fd = open(path, O_RDONLY);
		if (fd >= 0 && read(fd, value, 1) == 1)
			printf("kvm_intel %s=%s\n", name[i], value);
		close(fd);
	}
}

/* Real-mode code at 1000h until it halts; port output is counted. */
static void run_small(const char *name, const void *code, size_t len)
{
	unsigned char *mem;
	int cpu, vm = vmm_new_vm(0x10000, &mem), outs = 0;
	struct kvm_run *run = vmm_new_vcpu(vm, &cpu);
	struct kvm_regs g = {.rip = 0x1000, .rflags = 2, .rax = 2, .rbx = 3, .rcx = 1000};
	struct kvm_sregs s;

	memcpy(mem + 0x1000, code, len);
	ioctl(cpu, KVM_GET_SREGS, &s);
	s.cs.base = s.cs.selector = 0;
	ioctl(cpu, KVM_SET_SREGS, &s);
	ioctl(cpu, KVM_SET_REGS, &g);
	while (!ioctl(cpu, KVM_RUN, 0) && run->exit_reason == KVM_EXIT_IO)
		outs++;
	ioctl(cpu, KVM_GET_REGS, &g);
	printf("guest %s: exit %u, %d port writes, ax %llu, rip %llx\n", name, run->exit_reason,
	       outs, g.rax & 0xffff, g.rip);
	close(cpu);
	close(vm);
}

int main(void)
{
	static const unsigned char add[] = {0xba, 0xf8, 3,    0,  0xd8, 4,
					    '0',  0xee, 0xb0, 10, 0xee, 0xf4};
	static const unsigned char ports[] = {0xba, 0xf8, 3, 0xee, 0x49, 0x75, 0xfc, 0xf4};
	static const unsigned char cpuid[] = {0xbe, 0xe8, 3,	0x66, 0x31, 0xc0,
					      0x0f, 0xa2, 0x4e, 0x75, 0xf8, 0xf4};

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	iopl(3);
	if (in_l2())
		stdout = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_by_port});
	setvbuf(stdout, NULL, _IONBF, 0);
	insmod("/irqbypass.ko", "");
	insmod("/kvm.ko", "");
	insmod("/kvm-intel.ko", "nested=1");
	show_parameters();
	vmm_kvm = open("/dev/kvm", O_RDWR);
	if (vmm_kvm >= 0) {
		run_small("add", add, sizeof(add));
		run_small("ports", ports, sizeof(ports));
		run_small("cpuid", cpuid, sizeof(cpuid));
		if (!in_l2())
			vmm_run_linux("/kernel", "/initrd");
	}
	printf("done\n");
	if (!in_l2())
		outb(0, DEBUG_EXIT);
	reboot(RB_AUTOBOOT);
	return 0;
}
