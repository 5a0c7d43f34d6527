/*
 * The first program of a Debian kernel that runs as L1 under nestor, and of the one that it runs as
 * L2: loads kvm-intel, prints what it found, runs small guests in real mode, and, in L1, boots the
 * kernel /kernel with /initrd as L2 under a VMM of a screen's length. So the small guests of L2 are L3.
 * Built static; kvm.sh packs it. Output of L2 goes to the serial port by hand and comes back with
 * "L2: " before each line.
 */
#define _GNU_SOURCE
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define L2_RAM (192ul << 20)
#define L2_INITRD_AT (128ul << 20)
#define DEBUG_EXIT 0xf4
#define COM1 0x3f8

static int kvm;

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
	static const char *const name[] = {"ept", "eptad", "vpid", "unrestricted_guest", "preemption_timer",
					   "enable_shadow_vmcs", "enable_apicv", "pml", "nested"};

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

/* A VM with @bytes of RAM at 0. */
static int new_vm(unsigned long bytes, unsigned char **mem)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_userspace_memory_region r = {.memory_size = bytes};
	unsigned long long identity_map = 0xfffbc000;

	*mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	r.userspace_addr = (unsigned long)*mem;
	if (vm < 0 || ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) ||
	    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r))
		perror("virtual machine");
	return vm;
}

static struct kvm_run *new_vcpu(int vm, int *cpu)
{
	*cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	return mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, *cpu, 0);
}

/* Real-mode code at 1000h until it halts; port output is counted. */
static void run_small(const char *name, const void *code, size_t len)
{
	unsigned char *mem;
	int cpu, vm = new_vm(0x10000, &mem), outs = 0;
	struct kvm_run *run = new_vcpu(vm, &cpu);
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
	printf("guest %s: exit %u, %d port writes, ax %llu, rip %llx\n", name, run->exit_reason, outs,
	       g.rax & 0xffff, g.rip);
	close(cpu);
	close(vm);
}

/* --- L2: a kernel by the 32-bit boot protocol, with KVM's interrupt controllers and timer --- */

static unsigned long load(const char *file, off_t from, unsigned char *to)
{
	int fd = open(file, O_RDONLY);
	unsigned long n = 0;
	ssize_t r;

	lseek(fd, from, SEEK_SET);
	while ((r = read(fd, to + n, 1 << 20)) > 0)
		n += r;
	close(fd);
	return n;
}

static void load_kernel(unsigned char *mem)
{
	struct boot_params *bp = (void *)(mem + 0x10000);
	static unsigned char head[4096];
	int fd = open("/kernel", O_RDONLY);

	if (read(fd, head, sizeof(head)) != sizeof(head))
		perror("/kernel");
	close(fd);
	memcpy(&bp->hdr, head + 0x1f1, sizeof(bp->hdr));
	load("/kernel", (bp->hdr.setup_sects + 1) * 512, mem + 0x100000);
	bp->hdr.ramdisk_image = L2_INITRD_AT;
	bp->hdr.ramdisk_size = load("/initrd", 0, mem + L2_INITRD_AT);
	strcpy((char *)mem + 0x20000, "console=ttyS0 nokaslr panic=-1");
	bp->hdr.cmd_line_ptr = 0x20000;
	bp->hdr.type_of_loader = 0xff;
	bp->e820_entries = 2;
	bp->e820_table[0] = (struct boot_e820_entry){0, 0x9f000, 1};
	bp->e820_table[1] = (struct boot_e820_entry){0x100000, L2_RAM - 0x100000, 1};
}

static void set_registers(int cpu)
{
	static struct {
		struct kvm_cpuid2 c;
		struct kvm_cpuid_entry2 e[100];
	} id = {.c.nent = 100};
	struct {
		struct kvm_msrs m;
		struct kvm_msr_entry e;
	} feature_control = {.m.nmsrs = 1, .e = {.index = 0x3a, .data = 5}};
	struct kvm_segment code = {.limit = ~0u, .selector = 0x10, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
	struct kvm_segment data = code;
	struct kvm_regs g = {.rip = 0x100000, .rflags = 2, .rsi = 0x10000, .rsp = 0x8000};
	struct kvm_sregs s;

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &id) || ioctl(cpu, KVM_SET_CPUID2, &id) ||
	    ioctl(cpu, KVM_SET_MSRS, &feature_control) != 1)
		perror("CPUID, MSRs");
	ioctl(cpu, KVM_GET_SREGS, &s);
	data.type = 3;
	data.selector = 0x18;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 |= 1;
	if (ioctl(cpu, KVM_SET_SREGS, &s) || ioctl(cpu, KVM_SET_REGS, &g))
		perror("registers");
}

static void put_line(unsigned char c)
{
	static char line[512];
	static int n;

	line[n++] = c;
	if (c == '\n' || n == sizeof(line)) {
		printf("L2: %.*s", n, line);
		n = 0;
	}
}

/* A serial port that is always ready and never interrupts. Return: 0 when the guest resets itself. */
static int port_access(unsigned int port, int out, unsigned char *v, unsigned int size)
{
	static unsigned char lcr, scratch;

	if (!out)
		memset(v, 0xff, size);
	switch (port) {
	case COM1:
		if (!out)
			*v = 0;
		else if (!(lcr & 0x80))
			put_line(*v);
		break;
	case COM1 + 1:
	case COM1 + 2:
		if (!out)
			*v = port == COM1 + 2;
		break;
	case COM1 + 3:
		*(out ? &lcr : v) = *(out ? v : &lcr);
		break;
	case COM1 + 5:
		if (!out)
			*v = 0x60;
		break;
	case COM1 + 6:
		if (!out)
			*v = 0xb0;
		break;
	case COM1 + 7:
		*(out ? &scratch : v) = *(out ? v : &scratch);
		break;
	case 0x64:
		return !(out && *v == 0xfe);
	}
	return 1;
}

static void run_linux(void)
{
	struct kvm_pit_config pit = {0};
	unsigned char *mem;
	int cpu, vm = new_vm(L2_RAM, &mem);
	struct kvm_run *run;
	unsigned long exits = 0;

	if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) || ioctl(vm, KVM_CREATE_PIT2, &pit))
		perror("interrupt controllers");
	run = new_vcpu(vm, &cpu);
	load_kernel(mem);
	set_registers(cpu);
	while (!ioctl(cpu, KVM_RUN, 0)) {
		unsigned char *v = (unsigned char *)run + run->io.data_offset;

		exits++;
		if (run->exit_reason == KVM_EXIT_MMIO) {
			memset(run->mmio.data, 0xff, run->mmio.is_write ? 0 : 8);
			continue;
		}
		if (run->exit_reason != KVM_EXIT_IO) {
			printf("L2 stopped: exit %u, %llx\n", run->exit_reason, run->hw.hardware_exit_reason);
			return;
		}
		for (unsigned int i = 0; i < run->io.count; i++, v += run->io.size) {
			if (!port_access(run->io.port, run->io.direction == KVM_EXIT_IO_OUT, v, run->io.size)) {
				printf("L2 reset after %lu exits to user space\n", exits);
				return;
			}
		}
	}
	perror("L2");
}

int main(void)
{
	static const unsigned char add[] = {0xba, 0xf8, 3, 0, 0xd8, 4, '0', 0xee, 0xb0, 10, 0xee, 0xf4};
	static const unsigned char ports[] = {0xba, 0xf8, 3, 0xee, 0x49, 0x75, 0xfc, 0xf4};
	static const unsigned char cpuid[] = {0xbe, 0xe8, 3, 0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x4e, 0x75, 0xf8, 0xf4};

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
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm >= 0) {
		run_small("add", add, sizeof(add));
		run_small("ports", ports, sizeof(ports));
		run_small("cpuid", cpuid, sizeof(cpuid));
		if (!in_l2())
			run_linux();
	}
	printf("done\n");
	if (!in_l2())
		outb(0, DEBUG_EXIT);
	reboot(RB_AUTOBOOT);
	return 0;
}
