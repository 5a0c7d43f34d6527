/* boot_l2 KERNEL INITRD - runs them as a guest of this kernel's KVM until the guest resets. */
#include <fcntl.h>
#include <stdio.h>

#include "vmm.h"

int main(int argc, char **argv)
{
	vmm_kvm = open("/dev/kvm", O_RDWR);
	if (argc != 3 || vmm_kvm < 0) {
		perror("boot_l2");
		return 1;
	}
	vmm_run_linux(argv[1], argv[2]);
	return 0;
}
