/*
 * vmm.c - a VMM of a few screens on /dev/kvm: small VMs, and a Linux kernel by the 32-bit boot
 * protocol with KVM's interrupt controllers and timer
 */
#include "vmm.h"

#include <asm/bootparam.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define L2_RAM (192ul << 20)
#define L2_INITRD_AT (128ul << 20)
#define COM1 0x3f8

int vmm_kvm = -1;

/* A VM with @bytes of RAM at 0. */
int vmm_new_vm(unsigned long bytes, unsigned char **mem)
{
	int vm = ioctl(vmm_kvm, KVM_CREATE_VM, 0);
	struct kvm_userspace_memory_region r = {.memory_size = bytes};
	unsigned long long identity_map = 0xfffbc000;

	*mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	r.userspace_addr = (unsigned long)*mem;
	if (vm < 0 || ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) ||
	    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r))
		perror("virtual machine");
	return vm;
}

struct kvm_run *vmm_new_vcpu(int vm, int *cpu)
{
	*cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	return mmap(NULL, ioctl(vmm_kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		    MAP_SHARED, *cpu, 0);
}

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

static void load_kernel(unsigned char *mem, const char *kernel, const char *initrd)
{
	struct boot_params *bp = (void *)(mem + 0x10000);
	static unsigned char head[4096];
	int fd = open(kernel, O_RDONLY);

	if (read(fd, head, sizeof(head)) != sizeof(head))
		perror(kernel);
	close(fd);
	memcpy(&bp->hdr, head + 0x1f1, sizeof(bp->hdr));
	load(kernel, (bp->hdr.setup_sects + 1) * 512, mem + 0x100000);
	bp->hdr.ramdisk_image = L2_INITRD_AT;
	bp->hdr.ramdisk_size = load(initrd, 0, mem + L2_INITRD_AT);
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
	struct kvm_segment code = {
		.limit = ~0u, .selector = 0x10, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
	struct kvm_segment data = code;
	struct kvm_regs g = {.rip = 0x100000, .rflags = 2, .rsi = 0x10000, .rsp = 0x8000};
	struct kvm_sregs s;

	if (ioctl(vmm_kvm, KVM_GET_SUPPORTED_CPUID, &id) || ioctl(cpu, KVM_SET_CPUID2, &id) ||
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

/* A serial port that is always ready and never interrupts. Return: 0 when the guest resets
 * itself. */
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
	case COM1 + 3: *(out ? &lcr : v) = *(out ? v : &lcr); break;
	case COM1 + 5:
		if (!out)
			*v = 0x60;
		break;
	case COM1 + 6:
		if (!out)
			*v = 0xb0;
		break;
	case COM1 + 7: *(out ? &scratch : v) = *(out ? v : &scratch); break;
	case 0x64: return !(out && *v == 0xfe);
	}
	return 1;
}

void vmm_run_linux(const char *kernel, const char *initrd)
{
	struct kvm_pit_config pit = {0};
	unsigned char *mem;
	int cpu, vm = vmm_new_vm(L2_RAM, &mem);
	struct kvm_run *run;
	unsigned long exits = 0;

	if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) || ioctl(vm, KVM_CREATE_PIT2, &pit))
		perror("interrupt controllers");
	run = vmm_new_vcpu(vm, &cpu);
	load_kernel(mem, kernel, initrd);
	set_registers(cpu);
	while (!ioctl(cpu, KVM_RUN, 0)) {
		unsigned char *v = (unsigned char *)run + run->io.data_offset;

		exits++;
		if (run->exit_reason == KVM_EXIT_MMIO) {
			memset(run->mmio.data, 0xff, run->mmio.is_write ? 0 : 8);
			continue;
		}
		if (run->exit_reason != KVM_EXIT_IO) {
			printf("L2 stopped: exit %u, %llx\n", run->exit_reason,
			       run->hw.hardware_exit_reason);
			return;
		}
		for (unsigned int i = 0; i < run->io.count; i++, v += run->io.size) {
			if (!port_access(run->io.port, run->io.direction == KVM_EXIT_IO_OUT, v,
					 run->io.size)) {
				printf("L2 reset after %lu exits to user space\n", exits);
				return;
			}
		}
	}
	perror("L2");
}
