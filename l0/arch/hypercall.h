/*
 * The one hypercall of L0, by which a willing VMM declares what a guest of it needs, for comparison
 * with what is inferred. Off unless the machine's owner wants it (--declare); then nothing at all
 * tells a VMM that it is there but that it works. L0 answers nothing about others.
 *
 * VMCALL in VMX root operation at CPL 0: RAX = HYPERCALL_DECLARE, RBX = physical address of the
 * guest's VMCS, which has been entered; RCX = period in ns, RDX = CPU time of the processor in each
 * period, in ns, from the interrupt that begins it to the guest's HLT; RCX = RDX = 0: withdrawn.
 * VMsucceed with RAX = 0, or HYPERCALL_REFUSED: no such guest, or numbers that cannot be. Without
 * the option VMCALL does
 * what the SDM says: VMfail with error 1. Freestanding.
 */
#ifndef L0_ARCH_HYPERCALL_H
#define L0_ARCH_HYPERCALL_H

#define HYPERCALL_DECLARE 0x4e535452u
#define HYPERCALL_REFUSED (~0ull)

#endif
