/*
 * vmm.h - a VMM for guests of a Linux kernel under test; linked into programs of its user space
 *
 * What goes wrong is said on standard error; nothing here ends the program.
 */
#ifndef TESTS_E2E_LINUX_VMM_H
#define TESTS_E2E_LINUX_VMM_H

#include <linux/kvm.h>

extern int vmm_kvm; /* /dev/kvm, opened by the program */

/* A VM with @bytes of RAM at 0, at *@mem here. Return: its descriptor. */
int vmm_new_vm(unsigned long bytes, unsigned char **mem);
/* Its first processor: descriptor in *@cpu. */
struct kvm_run *vmm_new_vcpu(int vm, int *cpu);
/* Boot the bzImage and RAM disk in these files; until it resets. Its serial output comes out with
 * "L2: " before each line. */
void vmm_run_linux(const char *kernel, const char *initrd);

#endif
