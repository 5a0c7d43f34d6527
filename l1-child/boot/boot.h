/*
 * What the loader told: the multiboot 1 information structure, checked and copied before anything
 * is written to memory that it may lie in.
 */
#ifndef L1_CHILD_BOOT_BOOT_H
#define L1_CHILD_BOOT_BOOT_H

#include "l1-child/lib/types.h"

#define BOOT_CMDLINE_MAX 2048

struct boot_info {
	u64 memory_start; /* free memory: behind the image and the loader's modules */
	u64 memory_end;
	char cmdline[BOOT_CMDLINE_MAX];
};

/* boot_read - info: physical address of the structure; magic: what the loader passed. Ends the
 * machine with a message when they make no sense. */
void boot_read(struct boot_info *b, u64 info, u64 magic);

/* Entered from entry.S. */
void child_main(u64 info, u64 magic) __attribute__((noreturn));

#endif
