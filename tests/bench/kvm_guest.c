/*
 * kvm_guest.c - runs inside a Linux that nestor boots (kvm_bench.sh): a guest of its KVM that does
 * one
 * thing N times: CPUID, which KVM handles in the kernel, or an output, which comes out to this
 * program.
 *
 *	kvm_guest cpuid|out N
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define START 0x1000

static const unsigned char cpuid_loop[] = {
	0x66, 0xbe, 0, 0, 0, 0, /*    mov $N, %esi */
	0x31, 0xc0,		/* 1: xor %ax, %ax */
	0x0f, 0xa2,		/*    cpuid */
	0x66, 0x4e,		/*    dec %esi */
	0x75, 0xf8,		/*    jnz 1b */
	0xf4,			/*    hlt */
};
static const unsigned char out_loop[] = {
	0x66, 0xbe, 0, 0, 0, 0, /*    mov $N, %esi */
	0xe6, 0x80,		/* 1: out %al, $0x80 */
	0x66, 0x4e,		/*    dec %esi */
	0x75, 0xfa,		/*    jnz 1b */
	0xf4,			/*    hlt */
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int out = !strcmp(argv[1], "out");
	unsigned int n = (unsigned int)strtoul(argv[2], NULL, 0);
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	unsigned char *ram =
		mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {.guest_phys_addr = START,
						     .memory_size = 0x1000,
						     .userspace_addr = (unsigned long)ram};
	struct kvm_regs regs = {.rip = START, .rflags = 2};
	struct kvm_sregs sregs;

	memcpy(ram, out ? out_loop : cpuid_loop, out ? sizeof(out_loop) : sizeof(cpuid_loop));
	memcpy(ram + 2, &n, sizeof(n));
	if (vm < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		return 1;
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0), bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run =
		mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (vcpu < 0 || run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return 1;
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return 1;
	unsigned int outs = 0;

	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0))
			return 1;
		if (run->exit_reason == KVM_EXIT_IO)
			outs++;
		else
			break;
	}
	if (run->exit_reason != KVM_EXIT_HLT || outs != (out ? n : 0))
		return 1;
	printf("%s %u done\n", argv[1], n);
	return 0;
}
