/*
 * kvm_one.c - the smallest user of /dev/kvm: runs inside a Linux that nestor boots, so that Linux'
 * own hypervisor runs a guest of its own. The guest adds 2 and 2, prints the digit on a port, asks
 * CPUID a number of times (each an exit to KVM and back) and halts.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define GUEST_START 0x1000

static const unsigned char code[] = {
	0xba, 0xf8, 0x03, /*    mov $0x3f8, %dx */
	0x00, 0xd8,	  /*    add %bl, %al */
	0x04, '0',	  /*    add $'0', %al */
	0xee,		  /*    out %al, (%dx) */
	0xb0, '\n',	  /*    mov $'\n', %al */
	0xee,		  /*    out %al, (%dx) */
	0xbe, 0xe8, 0x03, /*    mov $1000, %si */
	0x31, 0xc0,	  /* 1: xor %ax, %ax */
	0x0f, 0xa2,	  /*    cpuid */
	0x4e,		  /*    dec %si */
	0x75, 0xf9,	  /*    jnz 1b */
	0xf4,		  /*    hlt */
};

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

int main(void)
{
	struct kvm_regs regs = {.rip = GUEST_START, .rax = 2, .rbx = 2, .rflags = 2};
	struct kvm_sregs sregs;
	int kvm = open("/dev/kvm", O_RDWR), vm, vcpu, bytes;

	if (kvm < 0)
		return failed("/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return failed("KVM_CREATE_VM");
	unsigned char *ram =
		mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_START,
		.memory_size = 0x1000,
		.userspace_addr = (unsigned long)ram,
	};

	memcpy(ram, code, sizeof(code));
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		return failed("KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return failed("KVM_CREATE_VCPU");
	bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run =
		mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return failed("KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return failed("KVM_SET_REGS");
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0))
			return failed("KVM_RUN");
		if (run->exit_reason == KVM_EXIT_HLT) {
			puts("the guest of the guest halted");
			return 0;
		}
		if (run->exit_reason != KVM_EXIT_IO) {
			printf("unexpected exit %u\n", run->exit_reason);
			return 1;
		}
		putchar(((char *)run)[run->io.data_offset]);
	}
}
