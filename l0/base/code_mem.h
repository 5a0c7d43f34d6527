/*
 * Memory for code that L0 makes while it runs. It is shared memory, so that it can be mapped twice,
 * once to write to and once to execute from, and never is both at one address: hosts that forbid
 * that (SELinux's execmem, MemoryDenyWriteExecute=, PR_SET_MDWE) permit this. Called when a virtual
 * processor is made.
 */
#ifndef L0_BASE_CODE_MEM_H
#define L0_BASE_CODE_MEM_H

#include "l0/base/types.h"

/**
 * code_mem_create - a nameless file of @bytes zeros, to be mapped with MAP_SHARED
 * Return: its descriptor, which may be mapped with PROT_EXEC, the caller closes it; -EPERM: the host
 * has no place for such a file; -ENOMEM, -EMFILE, -ENFILE.
 */
int code_mem_create(u64 bytes);

#endif
