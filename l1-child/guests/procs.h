/*
 * The guest that runs processes: an own address space each (4-level tables), demand paging from a
 * pool of page frames that is smaller than what the processes touch, round robin by the timer,
 * SYSCALL and INT 0x80. 64-bit, CPL 3 with interrupts on, kernel with interrupts off.
 */
#ifndef L1_CHILD_GUESTS_PROCS_H
#define L1_CHILD_GUESTS_PROCS_H

/* user addresses: top-level slot 1 */
#define USER_TEXT 0x8000000000
#define USER_DATA 0x8000200000
#define USER_STACK_TOP 0x8000400000
#define USER_PAGES 64 /* a process's array at its largest */
#define USER_STACK_PAGES 4

/* system calls: EAX */
#define SYS_YIELD 0 /* by SYSCALL */
#define SYS_EXIT 1  /* by INT 0x80: EDI = code; the process starts anew */
#define VECTOR_SYSTEM 0x80

#define KSTACK_BYTES 4096

#ifndef __ASSEMBLER__
#include "l1-child/guests/kit.h"

/* procs_vm.c: address spaces and frames */

/* Makes the pools; memory from start to end is theirs, tables bytes of it for page tables. */
void uvm_init(u64 start, u64 end, u32 frames);

/* An address space with the kernel and the user text in it. Return: CR3. */
u64 uvm_create(u32 owner);

/* Gives everything of an address space back; not the current one. */
void uvm_destroy(u64 cr3, u32 owner);

/* Maps a zeroed frame at a user address, taking the frame from whoever has had it longest if none
 * is free. Return: false if the address is not one that a process may touch. */
bool uvm_fault(u64 cr3, u32 owner, u64 va);

/* Frames taken away from their owners. */
u32 uvm_evictions(void);

/* procs_entry.S */
void procs_switch(u64 *save_sp, u64 next_sp);
void procs_syscall_entry(void);
void procs_int80_entry(void);
void procs_user_start(void);
extern u64 procs_kernel_stack;
struct kit_frame;
void procs_system_call(struct kit_frame *f);
extern const u8 kit_trap_return[];
extern u8 user_start[], user_end[];
#endif

#endif
